"""Folders of files as users have them: lists files, reads them, and splits them by name."""

from collections.abc import Sequence
import colorsys
import hashlib
import os
import pathlib
from typing import Protocol, TypeVar

from hrnet_jax.errors import UserError

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png")
SPLITS = ("train", "val", "test")
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


def require_only_splits(folder: pathlib.Path, splits: Sequence[str]) -> None:
  """Refuses a folder with one of train/ and val/ but not both, or with files beside them.

  Args:
    folder: has folders of splits.
    splits: those it has, at least one.

  Raises:
    FileNotFoundError: train/ or val/ is missing.
    ValueError: something else lies there.
  """
  for split in ("train", "val"):
    if split not in splits:
      raise FileNotFoundError(
        f"{folder / split}: no such folder, although there is {folder / splits[0]}; make "
        "both train/ and val/, or none to have the images split by name"
      )
  for path in sorted(folder.iterdir()):
    if path.name not in SPLITS and path.name[0] != ".":
      raise UserError(
        f"{path}: lies beside {', '.join(f'{split}/' for split in splits)} and would be left "
        "out; move it into one of them"
      )


def split_by_name(found: Sequence[P]) -> dict[str, list[P]]:
  """About a tenth becomes `val`, chosen by the name alone, so that adding files moves no other.

  Raises:
    ValueError: a single photo, which cannot be split.
  """
  if len(found) < 2:
    raise UserError(f"{found[0].image}: the only image; at least 2 are needed, for train and val")
  ranks = {entry: int(hashlib.sha256(entry.name.encode()).hexdigest()[:8], 16) for entry in found}
  val = {entry for entry, rank in ranks.items() if rank < _VAL_SHARE * 2**32}
  # In a small folder the hash can put all or nothing on one side.
  if not val:
    val = {min(ranks, key=ranks.get)}
  elif len(val) == len(found):
    val.remove(max(ranks, key=ranks.get))
  return {
    "train": [entry for entry in found if entry not in val],
    "val": [entry for entry in found if entry in val],
  }


def list_files(folder: pathlib.Path, suffixes: Sequence[str]) -> dict[str, pathlib.Path]:
  """Files of a folder and of the folders in it, by their path in it without the suffix, sorted.

  Args:
    folder: hidden files and folders in it are left out.
    suffixes: in lower case; the files' may be in any case.

  Raises:
    FileNotFoundError: no such folder. ValueError: two files of one name.
  """
  if not folder.is_dir():
    raise FileNotFoundError(f"{folder}: no such folder")
  found = {}
  for path in sorted(folder.rglob("*")):
    relative = path.relative_to(folder)
    if path.suffix.lower() not in suffixes or any(part[0] == "." for part in relative.parts):
      continue
    name = relative.with_suffix("").as_posix()
    if name in found:
      raise UserError(f"{path}: has the same name as {found[name]}; keep one of the two")
    found[name] = path
  return found


def read_bytes(path: pathlib.Path) -> bytes:
  """A file's bytes; FileNotFoundError with its name when it cannot be read."""
  try:
    return path.read_bytes()
  except OSError as error:
    raise FileNotFoundError(f"{path}: cannot be read ({error.strerror})") from error


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
