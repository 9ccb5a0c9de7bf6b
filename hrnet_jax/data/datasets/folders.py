"""Folders of files as users have them: finds their splits, or splits them by name."""

from collections.abc import Callable, Sequence
import colorsys
import hashlib
import os
import pathlib
import re
from typing import Protocol, TypeVar

from hrnet_jax.data.regular_files import is_of_system
from hrnet_jax.errors import UserError

SPLITS = ("train", "val", "test")
_NAMES_OF_SPLITS = {
  "train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val",
  "test": "test", "testing": "test",
}  # fmt: skip
_LIKE_A_SPLIT = re.compile(
  r"(train|val|valid|validation|test|dev|eval)([\W_\d].*)?$", re.IGNORECASE
)
_VAL_SHARE = 0.1


class NamedImage(Protocol):
  """An entry of a plan that has a photo."""

  @property
  def name(self) -> str:
    """The photo's name, unique in its split."""

  @property
  def image(self) -> pathlib.Path:
    """Where the photo is."""


P = TypeVar("P", bound=NamedImage)


def require_folder(path: pathlib.Path, layout: str) -> None:
  """Raises FileNotFoundError, with the expected layout, unless the folder is there."""
  if not path.is_dir():
    raise FileNotFoundError(f"{path}: no such folder; the source folder has to hold {layout}")


def split_folders(
  folder: pathlib.Path,
  is_split: Callable[[pathlib.Path], bool] = pathlib.Path.is_dir,
  lack: str = "is none, unlike",
) -> dict[str, pathlib.Path]:
  """The folders of splits in a folder by the split's name, train first; nothing if it has none.

  `train`, `training`; `val`, `valid`, `validation`; `test`, `testing`, in any case. There have to
  be train and val, and nothing beside the splits but a test that is none. A folder that is called
  like a split but is none, such as `val2`, would be pooled with the others or become a class, so it
  is refused.

  Args:
    folder: has folders of splits, or not.
    is_split: whether a folder that is called like one is one.
    lack: what is wrong with one that is none, and what to do; a folder that is one follows.

  Raises:
    FileNotFoundError: train or val is missing.
    ValueError: two folders of one split, something beside the splits, or names that are no split's.
  """
  entries = [path for path in sorted(folder.iterdir()) if not is_of_system(path.name)]
  found: dict[str, pathlib.Path] = {}
  for path in entries:
    split = _NAMES_OF_SPLITS.get(path.name.lower())
    if split is None or not is_split(path):
      continue
    if split in found:
      raise UserError(f"{path} and {found[split]}: two folders for {split!r}; keep one of the two")
    found[split] = path
  if not found:
    for path in entries:
      if path.is_dir() and _LIKE_A_SPLIT.match(path.name) and is_split(path):
        raise UserError(
          f"{path}: looks like a split, but is not called train, val or test; rename it, so that "
          "its photos do not get into another split"
        )
    return {}
  named = [x for x in entries if x.is_dir() and x.name.lower() in _NAMES_OF_SPLITS]
  for split in ("train", "val"):
    if split not in found:
      for path in named:
        if _NAMES_OF_SPLITS[path.name.lower()] == split:
          raise UserError(f"{path}: {lack} {next(iter(found.values()))}")
      raise FileNotFoundError(
        f"{folder / split}: no such folder, although there is {next(iter(found.values()))}; make "
        "both train/ and val/, or none to have the images split by name"
      )
  for path in entries:
    if path not in found.values() and path not in named:
      raise UserError(
        f"{path}: lies beside {', '.join(f'{x.name}/' for x in found.values())} and would be left "
        "out; move it into one of them"
      )
  return {split: found[split] for split in SPLITS if split in found}


def folder_of_split(folder: pathlib.Path, split: str, likely: str) -> pathlib.Path:
  """The folder of a split beside those of `split_folders`, such as that of its label maps.

  Args:
    folder: has folders of splits.
    split: as `split_folders` calls it.
    likely: the name of the folder, unless there is none but another that is called like the split.
  """
  if not (folder / likely).is_dir():
    for path in sorted(folder.iterdir()):
      if _NAMES_OF_SPLITS.get(path.name.lower()) == split and path.is_dir():
        return path
  return folder / likely


def split_by_name(found: Sequence[P]) -> dict[str, list[P]]:
  """About a tenth becomes `val`, chosen by the name alone, so that adding files moves no other.

  Raises:
    ValueError: none, or a single photo, which cannot be split.
  """
  if not found:
    raise UserError("no photo is left that could be split into train and val")
  if len(found) < 2:
    raise UserError(f"{found[0].image}: the only image; at least 2 are needed, for train and val")
  ranks = [int(hashlib.sha256(entry.name.encode()).hexdigest()[:8], 16) for entry in found]
  val = {i for i, rank in enumerate(ranks) if rank < _VAL_SHARE * 2**32}
  # In a small folder the hash can put all or nothing on one side.
  if not val:
    val = {ranks.index(min(ranks))}
  elif len(val) == len(found):
    val.remove(ranks.index(max(ranks)))
  return {
    "train": [entry for i, entry in enumerate(found) if i not in val],
    "val": [entry for i, entry in enumerate(found) if i in val],
  }


def stat(path: pathlib.Path) -> os.stat_result:
  """A file's size and time; FileNotFoundError with its name when they cannot be read."""
  try:
    return path.stat()
  except OSError as error:
    raise FileNotFoundError(f"{path}: cannot be read ({error.strerror})") from error


def make_colour(index: int) -> tuple[int, int, int]:
  """A colour unlike those of the indices before: hues a golden angle apart, in three shades."""
  hue, shade = index * 0.618034 % 1.0, index % 3
  red, green, blue = colorsys.hsv_to_rgb(hue, (0.75, 0.55, 0.9)[shade], (0.9, 0.75, 0.6)[shade])
  return round(255 * red), round(255 * green), round(255 * blue)
