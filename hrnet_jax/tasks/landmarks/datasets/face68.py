"""Video frames of faces with the 68 landmarks of 300W, in tables like those of the reference.

`scale` is the side of the landmarks' box / 200 and `center` its centre; pixels count from 0.
"""

import pathlib
from typing import ClassVar

import tensorflow_datasets as tfds

from hrnet_jax.data.dataset import DatasetInfo
from hrnet_jax.tasks.landmarks.datasets import face300w, faces


class Face68(faces.FacesBuilder):
  """Video frames of faces with 68 landmarks."""

  VERSION = tfds.core.Version("1.0.0")
  RELEASE_NOTES: ClassVar = {"1.0.0": "Image bytes untouched."}
  SOURCE_LAYOUT = "face_landmarks_train.csv, face_landmarks_valid.csv and images/"
  FOLDER = "face68"
  TABLES: ClassVar = {
    "train": "face_landmarks_train.csv",
    "val": "face_landmarks_valid.csv",
  }

  def facts(self, source: pathlib.Path | None) -> DatasetInfo:
    """Those of 300W."""
    del source
    return face300w.FACTS
