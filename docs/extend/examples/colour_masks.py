"""A data set of one's own: photos, and masks in which a colour stands for each class.

FOLDER/photos/NAME.jpg, FOLDER/masks/NAME.png
"""

import dataclasses
import pathlib
from typing import Any, ClassVar

import numpy as np
import tensorflow_datasets as tfds

from hrnet_jax.data import images
from hrnet_jax.data.dataset import DatasetInfo
from hrnet_jax.data.datasets import base, folders
from hrnet_jax.data.regular_files import read_regular

CLASSES = {"field": (107, 142, 35), "pond": (70, 130, 180), "roof": (178, 34, 34)}


@dataclasses.dataclass(frozen=True)
class Entry:
  """A photo and its mask: what is listed before anything is read."""

  name: str
  photo: pathlib.Path
  mask: pathlib.Path

  @property
  def size(self) -> int:
    """Bytes of the record, roughly."""
    return self.photo.stat().st_size

  def cache_key(self) -> str:
    """Changes when a file does, so that the data set is prepared anew."""
    return " ".join(f"{p.name} {p.stat().st_mtime_ns}" for p in (self.photo, self.mask))


class ColourMasks(base.Builder):
  """Photos with coloured masks."""

  VERSION = tfds.core.Version("1.0.0")
  RELEASE_NOTES: ClassVar = {"1.0.0": "First version."}
  SOURCE_LAYOUT = "photos/ (.jpg) and masks/ (.png of the same names)"
  HAS_VARIANTS = True  # colour_masks/NAME, one data set for each folder

  def plan(self, source: pathlib.Path) -> dict[str, list[Entry]]:
    """Every tenth photo is for validation."""
    folders.require_folder(source / "photos", self.SOURCE_LAYOUT)
    photos = sorted((source / "photos").glob("*.jpg"))
    entries = [Entry(p.stem, p, source / "masks" / f"{p.stem}.png") for p in photos]
    return {"train": [x for i, x in enumerate(entries) if i % 10], "val": entries[::10]}

  def record(self, entry: Entry) -> dict[str, Any]:
    """Reads one photo and turns colours into class ids; 255 is ignored."""
    colours = images.decode_image(read_regular(entry.mask), str(entry.mask))
    label = np.full(colours.shape[:2], base.IGNORED, np.uint8)
    for class_id, colour in enumerate(CLASSES.values()):
      label[(colours == colour).all(-1)] = class_id
    if (label == base.IGNORED).all():
      raise ValueError(f"{entry.mask}: none of the colours of {', '.join(CLASSES)}")
    photo = read_regular(entry.photo)
    return {"image": photo, "label": images.encode_png(label), "name": entry.name}

  def facts(self, source: pathlib.Path | None) -> DatasetInfo:
    """Names and colours, in the order of the ids."""
    del source
    return DatasetInfo(class_names=tuple(CLASSES), palette=tuple(CLASSES.values()))


DATASETS = {"colour_masks": ColourMasks}
