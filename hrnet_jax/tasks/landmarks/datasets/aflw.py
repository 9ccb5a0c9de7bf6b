"""AFLW: faces with the 19 landmarks of the CFSS protocol, in boxes that were annotated as such.

Facts of HRNet/HRNet-Facial-Landmark-Detection, `lib/datasets/aflw.py`: a column more than other
tables, the size of the box in pixels, by which errors are divided.
"""

import pathlib
from typing import ClassVar

import tensorflow_datasets as tfds

from hrnet_jax.data.dataset import DatasetInfo
from hrnet_jax.tasks.landmarks.datasets import faces

NAMES = (
  "left brow outer", "left brow centre", "left brow inner",
  "right brow inner", "right brow centre", "right brow outer",
  "left eye outer corner", "left eye centre", "left eye inner corner",
  "right eye inner corner", "right eye centre", "right eye outer corner",
  "left nose side", "nose tip", "right nose side",
  "left mouth corner", "mouth centre", "right mouth corner", "chin",
)  # fmt: skip
FLIP_PAIRS = ((0, 5), (1, 4), (2, 3), (6, 11), (7, 10), (8, 9), (12, 14), (15, 17))
FACTS = DatasetInfo(landmark_names=NAMES, flip_pairs=FLIP_PAIRS)


class Aflw(faces.FacesBuilder):
  """Photos from Flickr with 19 landmarks."""

  VERSION = tfds.core.Version("1.0.0")
  RELEASE_NOTES: ClassVar = {"1.0.0": "Image bytes untouched."}
  SOURCE_LAYOUT = (
    "face_landmarks_aflw_{train,test,test_frontal}.csv and images/ with flickr/, or aflw/ with "
    "these"
  )
  FOLDER = "aflw"
  TABLES: ClassVar = {
    "train": "face_landmarks_aflw_train.csv",
    "full": "face_landmarks_aflw_test.csv",
  }
  SUBSETS: ClassVar = {"frontal": ("full", "face_landmarks_aflw_test_frontal.csv")}
  LEADING = ("scale", "box_size", "center_w", "center_h")
  IMAGES = ("images", "images/flickr")
  CHECKS_PLACES = False  # profiles have landmarks out of sight, and results count all numbers

  def facts(self, source: pathlib.Path | None) -> DatasetInfo:
    """Landmarks without a distance to divide errors by: `box_size` in the records does that."""
    del source
    return FACTS
