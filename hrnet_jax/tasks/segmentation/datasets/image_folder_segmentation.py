"""A user's own photos and label maps, read from a folder.

    classes.txt                   one class a line, ids from 0: `road`, `road #804080` or
                                  `road 128 64 128`
    images/train/... images/val/...   and the same under labels/; or, without these folders,
    images/...                    and the same under labels/, of which a tenth becomes `val`

Labels are PNG files with the ids of the classes in a single channel; 255 is ignored. RGB files go
by the colours of `classes.txt`.
"""

import functools
import pathlib
from typing import ClassVar

import tensorflow_datasets as tfds

from hrnet_jax.data.dataset import DatasetInfo
from hrnet_jax.data.datasets import base, folders
from hrnet_jax.data.regular_files import is_of_system
from hrnet_jax.tasks.segmentation.datasets import image_label_pairs, label_colours
from hrnet_jax.tasks.segmentation.datasets.classes_file import Classes, read_classes

LABEL_SUFFIX = "label_suffix"


class ImageFolderSegmentation(base.Builder):
  """Photos of a user with a class for every pixel."""

  VERSION = tfds.core.Version("1.0.0")
  RELEASE_NOTES: ClassVar = {"1.0.0": "Image and label bytes untouched."}
  SOURCE_LAYOUT = (
    "classes.txt (one class name a line), images/ (JPEG, PNG, TIFF, BMP or WebP files) and labels/ "
    "(PNG files of the same names)"
  )
  HAS_VARIANTS = True
  OPTIONS = (LABEL_SUFFIX,)

  def plan(self, source: pathlib.Path | None) -> dict[str, list[image_label_pairs.Pair]]:
    """Splits by folder if there are such folders, else by a hash of the name."""
    image_dir, label_dir = source / "images", source / "labels"
    folders.require_folder(image_dir, self.SOURCE_LAYOUT)
    folders.require_folder(label_dir, self.SOURCE_LAYOUT)
    splits = folders.split_folders(image_dir)
    if not splits:
      return folders.split_by_name(self._pairs(image_dir, label_dir))
    labels = {x: folders.folder_of_split(label_dir, x, path.name) for x, path in splits.items()}
    for path in sorted(label_dir.iterdir()):
      if not is_of_system(path.name) and path not in labels.values():
        self.say(f"{path}: left out, because it is of no split in {image_dir}")
    return {split: self._pairs(path, labels[split]) for split, path in splits.items()}

  def record(self, entry: image_label_pairs.Pair) -> dict:
    """Checks one pair."""
    return image_label_pairs.read_pair(
      entry,
      self._classes.names,
      decode=lambda data, name: label_colours.decode_label(data, name, self._classes),
    )

  def facts(self, source: pathlib.Path | None) -> DatasetInfo:
    """Class names and colours of `classes.txt`."""
    return DatasetInfo(class_names=self._classes.names, palette=self._classes.palette)

  @functools.cached_property
  def _classes(self) -> Classes:
    classes = read_classes(self._source / "classes.txt")
    for number in classes.comments:
      self.say(f"{classes.path}, line {number}: begins with # and is passed over")
    return classes

  def _pairs(self, image_dir: pathlib.Path, label_dir: pathlib.Path) -> list:
    return image_label_pairs.find_pairs(
      image_dir,
      label_dir,
      self.reading(self._source),
      label_ending=self.options.get(LABEL_SUFFIX, ""),
      has_option=True,
    )
