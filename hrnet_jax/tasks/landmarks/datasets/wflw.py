"""WFLW: faces with 98 landmarks, and six named parts of its test split that overlap.

Facts of HRNet/HRNet-Facial-Landmark-Detection, `lib/datasets/wflw.py` and its tables.
"""

import pathlib
from typing import ClassVar

import tensorflow_datasets as tfds

from hrnet_jax.data.dataset import DatasetInfo
from hrnet_jax.tasks.landmarks.datasets import face_points, faces

_LIDS = ("outer", "middle", "inner")
NAMES = (
  *face_points.jaw(33),
  *face_points.brow("left", 5, "upper brow"),
  *face_points.brow("left", 4, "lower brow")[::-1],
  *face_points.brow("right", 5, "upper brow")[::-1],
  *face_points.brow("right", 4, "lower brow"),
  *face_points.nose(),
  *face_points.eye("left", _LIDS),
  *face_points.eye("right", _LIDS),
  *face_points.mouth(),
  "left pupil",
  "right pupil",
)
FLIP_PAIRS = (
  *((i, 32 - i) for i in range(16)),
  *((i, 79 - i) for i in range(33, 38)),
  *((i, 88 - i) for i in range(38, 42)),
  (55, 59), (56, 58),
  *((i, 132 - i) for i in range(60, 65)),
  *((i, 140 - i) for i in range(65, 68)),
  (76, 82), (77, 81), (78, 80), (83, 87), (84, 86),
  (88, 92), (89, 91), (93, 95),
  (96, 97),
)  # fmt: skip
FACTS = DatasetInfo(
  landmark_names=NAMES,
  flip_pairs=FLIP_PAIRS,
  normalizers={"inter_ocular": ((60,), (72,)), "inter_pupil": ((96,), (97,))},
)
_TEST_PARTS = {
  "pose": "largepose",
  "expression": "expression",
  "illumination": "illumination",
  "makeup": "makeup",
  "occlusion": "occlusion",
  "blur": "blur",
}


class Wflw(faces.FacesBuilder):
  """Faces of WIDER with 98 landmarks."""

  VERSION = tfds.core.Version("1.0.0")
  RELEASE_NOTES: ClassVar = {"1.0.0": "Image bytes untouched."}
  SOURCE_LAYOUT = (
    "face_landmarks_wflw_{train,test,test_largepose,test_expression,test_illumination,test_makeup,"
    "test_occlusion,test_blur}.csv and images/, or wflw/ with these"
  )
  FOLDER = "wflw"
  TABLES: ClassVar = {
    "train": "face_landmarks_wflw_train.csv",
    "test": "face_landmarks_wflw_test.csv",
  }
  SUBSETS: ClassVar = {
    name: ("test", f"face_landmarks_wflw_test_{part}.csv") for name, part in _TEST_PARTS.items()
  }

  def facts(self, source: pathlib.Path | None) -> DatasetInfo:
    """Landmarks of the WFLW scheme."""
    del source
    return FACTS
