"""Generated scenes of shapes with classes, boxes, masks and keypoints: nothing to download.

A record has three encoded images and `boxes (N, 4), classes (N,)`, keypoints `(N, 5, 2)`
and `visible (N, 5)`; `shape_scenes.Scene` says what they mean.
"""

import dataclasses
import pathlib
from typing import Any, ClassVar

import numpy as np
import tensorflow_datasets as tfds

from hrnet_jax.data import images
from hrnet_jax.data.dataset import DatasetInfo
from hrnet_jax.data.datasets import base, shape_distance, shape_scenes

SEED = 0
SPLIT_SIZES = {"train": 800, "val": 160}
_SPLIT_IDS = {"train": 0, "val": 1}
_JPEG_QUALITY = 92
_KEYPOINTS = "landmarks"  # the key in records; data sets that were prepared before have it
_PALETTE = (
  (60, 64, 72),
  (232, 90, 79),
  (74, 144, 226),
  (245, 184, 65),
  (155, 104, 214),
  (72, 187, 120),
)
_FACTS = DatasetInfo(
  class_names=shape_distance.CLASS_NAMES,
  palette=_PALETTE,
  landmark_names=shape_distance.KEYPOINT_NAMES,
  flip_pairs=shape_distance.FLIP_PAIRS,
)


@dataclasses.dataclass(frozen=True)
class SceneEntry:
  """One scene: it depends on nothing but these two values and the seed."""

  split: str
  index: int
  size: int = 8192  # bytes, roughly

  def cache_key(self) -> str:
    """The name; how scenes are drawn is told by the builder's version."""
    return f"{SEED} {self.split} {self.index}"


class Shapes(base.Builder):
  """Photo-like scenes of overlapping shapes, generated."""

  VERSION = tfds.core.Version("1.0.0")
  RELEASE_NOTES: ClassVar = {"1.0.0": "Five shapes on textured ground, 128x128."}
  NEEDS_SOURCE = False

  def plan(self, source: pathlib.Path | None) -> dict[str, list[SceneEntry]]:
    """Counts to the sizes of the splits."""
    return {split: [SceneEntry(split, i) for i in range(n)] for split, n in SPLIT_SIZES.items()}

  def record(self, entry: SceneEntry) -> dict[str, Any]:
    """Draws one scene."""
    scene = shape_scenes.draw(np.random.default_rng([SEED, _SPLIT_IDS[entry.split], entry.index]))
    return {
      "image": images.encode_jpeg(scene.image, _JPEG_QUALITY),
      "label": images.encode_png(scene.label),
      "instances": images.encode_png(scene.instances),
      "boxes": scene.boxes,
      "classes": scene.classes,
      _KEYPOINTS: scene.keypoints,
      "visible": scene.visible,
      "name": f"{entry.split}_{entry.index:05}",
    }

  def facts(self, source: pathlib.Path | None) -> DatasetInfo:
    """Classes of the shapes and keypoints of the kite."""
    return _FACTS

  def features(self) -> dict[str, Any]:
    """Adds masks, boxes and keypoints of objects."""
    return super().features() | {
      "instances": tfds.features.Image(shape=(None, None, 1)),
      "boxes": tfds.features.Tensor(shape=(None, 4), dtype=np.float32),
      "classes": tfds.features.Tensor(shape=(None,), dtype=np.int32),
      _KEYPOINTS: tfds.features.Tensor(shape=(None, 5, 2), dtype=np.float32),
      "visible": tfds.features.Tensor(shape=(None, 5), dtype=np.bool_),
    }
