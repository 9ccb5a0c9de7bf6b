"""Photos in one folder for each class, such as ImageNet or a user's own.

    train/CLASS/... val/CLASS/...     perhaps test/CLASS/...; or, without these folders,
    CLASS/...                         of each class about a tenth becomes `val`

Classes are named after their folders and counted from 0 in the order of the names' characters, as
torchvision's `ImageFolder` counts them. A class of ImageNet has the name of its folder, its
id in WordNet, `n01440764` and so on.
"""

import collections
from collections.abc import Iterable
import dataclasses
import itertools
import pathlib
from typing import Any, ClassVar
import unicodedata

import numpy as np
import tensorflow_datasets as tfds

from hrnet_jax.data import images
from hrnet_jax.data.dataset import DatasetInfo
from hrnet_jax.data.datasets import base, folders
from hrnet_jax.data.regular_files import (
  IMAGE_SUFFIXES,
  describe_left_out,
  is_of_system,
  list_files,
  read_regular,
  require_unicode,
)
from hrnet_jax.errors import UserError


@dataclasses.dataclass(frozen=True)
class LabelledPhoto:
  """A photo and its class; `name` is `CLASS/photo` without the suffix."""

  name: str
  image: pathlib.Path
  label: int

  @property
  def size(self) -> int:
    """Bytes of the file."""
    return folders.stat(self.image).st_size

  def cache_key(self) -> str:
    """Changes when the file does."""
    stat = folders.stat(self.image)
    return f"{self.name} {self.label} {stat.st_size} {stat.st_mtime_ns}"


class ImageFolderClassification(base.Builder):
  """Photos with a class each, by folder."""

  VERSION = tfds.core.Version("1.0.0")
  RELEASE_NOTES: ClassVar = {"1.0.0": "Image bytes untouched."}
  SOURCE_LAYOUT = (
    "train/ and val/ (and perhaps test/) with a folder of photos (JPEG, PNG, TIFF, BMP or WebP) "
    "for each class, or these folders of classes alone"
  )
  HAS_VARIANTS = True
  COUNTED = "images"

  def plan(self, source: pathlib.Path | None) -> dict[str, list[LabelledPhoto]]:
    """Splits by folder if there are such folders, else by a hash of the names in each class."""
    names = self.facts(source).class_names
    splits = _splits(source)
    if splits:
      self._say_unlabelled(source, splits)
      found = {split: self._find_photos(folder, names) for split, folder in splits.items()}
      _require_photos(splits["train"], found["train"], names)
      return {split: _in_turn(photos) for split, photos in found.items()}
    photos = self._find_photos(source, names)
    _require_photos(source, photos, names)
    classes = itertools.groupby(photos, key=lambda photo: photo.label)  # they come in this order
    parts = [_split_class(list(group)) for _, group in classes]
    if not any(part["val"] for part in parts):
      raise UserError(f"{source}: no class has 2 photos, one for train and one for val")
    return {
      split: _in_turn(itertools.chain.from_iterable(part[split] for part in parts))
      for split in ("train", "val")
    }

  def record(self, entry: LabelledPhoto) -> dict[str, Any]:
    """Checks one photo."""
    return self.measured(entry)[0]

  def measured(self, entry: LabelledPhoto) -> tuple[dict[str, Any], tuple[int, int], np.ndarray]:
    """The record, the photo's size, and a single 1 among the counts."""
    data = read_regular(entry.image)
    size = images.decode_image(data, str(entry.image)).shape[:2]
    counts = np.arange(len(self.facts(self._source).class_names) + 1) == entry.label
    return {"image": data, "label": np.int32(entry.label), "name": entry.name}, size, counts

  def facts(self, source: pathlib.Path | None) -> DatasetInfo:
    """Names of the folders; the colours are made up."""
    if not hasattr(self, "_facts"):
      names = _class_names(source)
      colours = tuple(folders.make_colour(index) for index in range(len(names)))
      self._facts = DatasetInfo(class_names=names, palette=colours)
    return self._facts

  def _say_unlabelled(self, source, splits):
    for path in [x for x in _subfolders(source) if x not in splits.values()]:
      count = len(list_files(path, IMAGE_SUFFIXES, unique=False).files)
      self.say(f"{path}: {count} images are left out, because they lie in no folders of classes")

  def _find_photos(self, folder, class_names) -> list[LabelledPhoto]:
    """All photos by name; one beside the folders of the classes would have no class."""
    beside = list_files(folder, IMAGE_SUFFIXES, deep=False)
    for path in beside.files.values():
      text = f"{path}: lies in no folder of a class and would be left out; move it"
      self.problems.note(UserError(text))
    found, deeper, left_out = [], [], collections.Counter(beside.left_out)
    for label, name in enumerate(class_names):
      place = _named_folder(folder, name)
      if place is None:
        continue
      files = list_files(place, IMAGE_SUFFIXES)
      left_out.update(files.left_out)
      deeper += [path for path in files.files.values() if path.parent != place]
      found += [LabelledPhoto(f"{name}/{key}", path, label) for key, path in files.files.items()]
    if deeper:
      self.say(
        f"{folder}: {len(deeper)} of {len(found)} photos lie in folders inside of the classes' "
        f"folders, such as {deeper[0].relative_to(folder)}; they count as of the outer one's class"
      )
    if text := describe_left_out(folder, left_out, f"{', '.join(IMAGE_SUFFIXES)} files are read"):
      self.say(text)
    if not found:
      suffixes = ", ".join(IMAGE_SUFFIXES)
      raise FileNotFoundError(f"{folder}: no images ({suffixes}) in the folders of the classes")
    return found

  def features(self) -> dict[str, Any]:
    """The label is a number."""
    return super().features() | {"label": tfds.features.Tensor(shape=(), dtype=np.int32)}


def _splits(source) -> dict[str, pathlib.Path]:
  """Folders of splits, which hold folders; if none does, such a name is a class's.

  A `test` that holds photos alone, as ImageNet's does, has no labels and is left out.
  """
  return folders.split_folders(
    source,
    is_split=lambda folder: bool(_subfolders(folder)),
    lack="holds no folders of classes; move its photos into them, named as in",
  )


def _class_names(source):
  splits = _splits(source)
  place = splits["train"] if splits else source
  found = _subfolders(place)
  if len(found) < 2:
    raise UserError(f"{place}: {len(found)} folders of classes, expected at least 2")
  names = _composed(found)
  for split in [x for x in splits.values() if x != place]:
    unknown = sorted(set(_composed(_subfolders(split))) - set(names))
    if unknown:
      raise UserError(f"{split / unknown[0]}: class {unknown[0]!r} is not in {place}")
  return names


def _composed(found: list[pathlib.Path]) -> tuple[str, ...]:
  """Names of classes, in Unicode's composed form: macOS writes others than people type."""
  names: dict[str, pathlib.Path] = {}
  for path in found:
    first = names.setdefault(unicodedata.normalize("NFC", path.name), path)
    if first != path:
      raise UserError(
        f"{path.parent}: two folders of the class {path.name!r}, in different forms of Unicode; "
        "put their photos into one"
      )
  return tuple(names)


def _named_folder(folder: pathlib.Path, name: str) -> pathlib.Path | None:
  """The folder of a class, whatever form of Unicode its name has."""
  paths = (folder / unicodedata.normalize(form, name) for form in ("NFC", "NFD"))
  return next((path for path in paths if path.is_dir()), None)


def _subfolders(folder):
  if not folder.is_dir():
    return []
  found = sorted(x for x in folder.iterdir() if x.is_dir() and not is_of_system(x.name))
  for path in found:
    require_unicode(path)
  return found


def _require_photos(folder, photos, class_names):
  if missing := sorted(set(range(len(class_names))) - {photo.label for photo in photos}):
    suffixes = ", ".join(IMAGE_SUFFIXES)
    raise FileNotFoundError(
      f"{folder / class_names[missing[0]]}: no images ({suffixes}) of this class; "
      f"{len(missing) - 1} more classes have none"
    )


def _split_class(photos):
  """A class of one photo can only be learnt from."""
  return folders.split_by_name(photos) if len(photos) > 1 else {"train": photos, "val": []}


def _in_turn(photos: Iterable[LabelledPhoto]) -> list[LabelledPhoto]:
  """The first of every class, then the second of every class, ...: the first few show several."""
  seen: dict[int, int] = {}
  ranked = []
  for photo in photos:
    ranked.append((seen.setdefault(photo.label, 0), photo.label, photo))
    seen[photo.label] += 1
  return [photo for _, _, photo in sorted(ranked, key=lambda row: row[:2])]
