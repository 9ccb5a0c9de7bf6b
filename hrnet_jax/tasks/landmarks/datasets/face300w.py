"""300W: faces with 68 landmarks, and the three ways in which its tests are reported.

Facts of HRNet/HRNet-Facial-Landmark-Detection, `lib/datasets/face300w.py`: `full`, 689 faces of
HELEN, LFPW and iBUG, consists of `common` and `challenge`; `test` are the 600 of the competition.
"""

import pathlib
from typing import ClassVar

import tensorflow_datasets as tfds

from hrnet_jax.data.dataset import DatasetInfo
from hrnet_jax.tasks.landmarks.datasets import face_points, faces

_LIDS = ("outer", "inner")
NAMES = (
  *face_points.jaw(17),
  *face_points.brow("left", 5),
  *face_points.brow("right", 5)[::-1],
  *face_points.nose(),
  *face_points.eye("left", _LIDS),
  *face_points.eye("right", _LIDS),
  *face_points.mouth(),
)
FLIP_PAIRS = (
  *((i, 16 - i) for i in range(8)),
  *((i, 43 - i) for i in range(17, 22)),
  (31, 35), (32, 34),
  (36, 45), (37, 44), (38, 43), (39, 42), (40, 47), (41, 46),
  (48, 54), (49, 53), (50, 52), (55, 59), (56, 58),
  (60, 64), (61, 63), (65, 67),
)  # fmt: skip
FACTS = DatasetInfo(
  landmark_names=NAMES,
  flip_pairs=FLIP_PAIRS,
  normalizers={
    "inter_ocular": ((36,), (45,)),
    "inter_pupil": (tuple(range(36, 42)), tuple(range(42, 48))),
  },
)


class Face300w(faces.FacesBuilder):
  """Faces in the wild with 68 landmarks."""

  VERSION = tfds.core.Version("1.0.0")
  RELEASE_NOTES: ClassVar = {"1.0.0": "Image bytes untouched."}
  SOURCE_LAYOUT = (
    "face_landmarks_300w_{train,valid,valid_common,valid_challenge,test}.csv and images/ with "
    "afw/, helen/, ibug/, lfpw/ and Test/, or 300w/ with these"
  )
  FOLDER = "300w"
  TABLES: ClassVar = {
    "train": "face_landmarks_300w_train.csv",
    "full": "face_landmarks_300w_valid.csv",
    "test": "face_landmarks_300w_test.csv",
  }
  SUBSETS: ClassVar = {
    "common": ("full", "face_landmarks_300w_valid_common.csv"),
    "challenge": ("full", "face_landmarks_300w_valid_challenge.csv"),
  }
  # The file as its authors distribute it has a blank in its name.
  RENAMED: ClassVar = {"ibug/image_092_01.jpg": "ibug/image_092 _01.jpg"}

  def unions(self) -> dict[str, tuple[str, ...]]:
    """Everything that results are published on."""
    return {"full_and_test": ("full", "test")}

  def facts(self, source: pathlib.Path | None) -> DatasetInfo:
    """Landmarks of the 300W scheme."""
    del source
    return FACTS
