"""A user's own photos and label maps, read from a folder.

    classes.txt                   one class a line, ids from 0: `road`, `road #804080` or
                                  `road 128 64 128`
    images/train/... images/val/...   and the same under labels/; or, without these folders,
    images/...                    and the same under labels/, of which a tenth becomes `val`

Labels are single-channel PNG files with the ids of the classes; 255 is ignored.
"""

import pathlib
import re
from typing import ClassVar

import tensorflow_datasets as tfds

from hrnet_jax.data.dataset import DatasetInfo
from hrnet_jax.data.datasets import base, folders
from hrnet_jax.errors import UserError
from hrnet_jax.tasks.segmentation.datasets import image_label_pairs

_LINE = re.compile(r"(.+?)(?:\s+(?:#([0-9a-fA-F]{6})|(\d{1,3})\s+(\d{1,3})\s+(\d{1,3})))?")


class ImageFolderSegmentation(base.Builder):
  """Photos of a user with a class for every pixel."""

  VERSION = tfds.core.Version("1.0.0")
  RELEASE_NOTES: ClassVar = {"1.0.0": "Image and label bytes untouched."}
  SOURCE_LAYOUT = (
    "classes.txt (one class name a line), images/ (.jpg, .jpeg or .png) and labels/ (PNG files "
    "of the same names)"
  )
  HAS_VARIANTS = True

  def plan(self, source: pathlib.Path | None) -> dict[str, list[image_label_pairs.Pair]]:
    """Splits by folder if there are such folders, else by a hash of the name."""
    image_dir, label_dir = source / "images", source / "labels"
    folders.require_folder(image_dir, self.SOURCE_LAYOUT)
    folders.require_folder(label_dir, self.SOURCE_LAYOUT)
    splits = [split for split in folders.SPLITS if (image_dir / split).is_dir()]
    if not splits:
      return folders.split_by_name(image_label_pairs.find_pairs(image_dir, label_dir))
    folders.require_only_splits(image_dir, splits)
    return {
      split: image_label_pairs.find_pairs(image_dir / split, label_dir / split) for split in splits
    }

  def record(self, entry: image_label_pairs.Pair) -> dict:
    """Checks one pair."""
    return image_label_pairs.read_pair(entry, self.facts(self._source).class_names)

  def facts(self, source: pathlib.Path | None) -> DatasetInfo:
    """Class names and colours of `classes.txt`."""
    if not hasattr(self, "_facts"):
      self._facts = read_classes(source / "classes.txt")
    return self._facts


def read_classes(path: pathlib.Path) -> DatasetInfo:
  """Reads class names and, where given, colours; the other colours are made up.

  Raises:
    FileNotFoundError: no such file.
    ValueError: a line cannot be used; the message gives its number.
  """
  if not path.is_file():
    raise FileNotFoundError(f"{path}: no such file; write one class name a line, ids count from 0")
  lines = path.read_text("utf-8-sig").rstrip().splitlines()
  classes = {}
  for number, line in enumerate(lines, 1):
    name, colour = _parse_line(line, f"{path}, line {number}")
    if name in classes:
      raise UserError(f"{path}, line {number}: class {name!r} is there twice")
    classes[name] = colour or folders.make_colour(number - 1)
  if not 1 <= len(classes) <= base.IGNORED:
    raise UserError(f"{path}: {len(classes)} classes; there can be 1 to {base.IGNORED}")
  return DatasetInfo(class_names=tuple(classes), palette=tuple(classes.values()))


def _parse_line(line, where):
  match = _LINE.fullmatch(line.strip())
  if not match:
    raise UserError(f"{where}: empty; the line number is the id, so no line can be left out")
  name, code, *values = match.groups()
  if code:
    return name, tuple(bytes.fromhex(code))
  if values[0] is None:
    return name, None
  colour = tuple(int(value) for value in values)
  if max(colour) > 255:
    raise UserError(f"{where}: colour {colour}; red, green and blue go from 0 to 255")
  return name, colour
