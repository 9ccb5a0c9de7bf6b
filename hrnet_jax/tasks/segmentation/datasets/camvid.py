"""CamVid, video frames of streets seen from a driving car, with eleven classes.

Facts of the common 480x360 version (Badrinarayanan et al., SegNet): 11 in its label files stands
for "void" and is stored as 255, ignored.
"""

import pathlib
from typing import ClassVar

import tensorflow_datasets as tfds

from hrnet_jax.data.dataset import DatasetInfo
from hrnet_jax.data.datasets import base, folders
from hrnet_jax.tasks.segmentation.datasets import image_label_pairs

CLASSES = {
  "sky": (128, 128, 128),
  "building": (128, 0, 0),
  "pole": (192, 192, 128),
  "road": (128, 64, 128),
  "pavement": (0, 0, 192),
  "tree": (128, 128, 0),
  "sign": (192, 128, 128),
  "fence": (64, 64, 128),
  "car": (64, 0, 128),
  "pedestrian": (64, 64, 0),
  "bicyclist": (0, 128, 192),
}
VOID = 11
_FACTS = DatasetInfo(class_names=tuple(CLASSES), palette=tuple(CLASSES.values()))
_SPLITS = ("train", "val", "test")


class Camvid(base.Builder):
  """Street scenes with a class for every pixel."""

  VERSION = tfds.core.Version("1.0.0")
  RELEASE_NOTES: ClassVar = {"1.0.0": "Image bytes untouched; void stored as 255."}
  SOURCE_LAYOUT = (
    "train/ and val/ (photos), trainannot/ and valannot/ (PNG labels of the same names), and "
    "perhaps test/ and testannot/"
  )

  def plan(self, source: pathlib.Path | None) -> dict[str, list[image_label_pairs.Pair]]:
    """The folders are the splits; only `test` may be missing."""
    found = {}
    for split in _SPLITS:
      image_dir, label_dir = source / split, source / f"{split}annot"
      if split == "test" and not image_dir.exists() and not label_dir.exists():
        continue
      folders.require_folder(image_dir, self.SOURCE_LAYOUT)
      folders.require_folder(label_dir, self.SOURCE_LAYOUT)
      found[split] = image_label_pairs.find_pairs(image_dir, label_dir, self.reading(source))
    return found

  def record(self, entry: image_label_pairs.Pair) -> dict:
    """Checks one pair."""
    return image_label_pairs.read_pair(entry, _FACTS.class_names, VOID)

  def facts(self, source: pathlib.Path | None) -> DatasetInfo:
    """Class names and the colours of the original."""
    return _FACTS
