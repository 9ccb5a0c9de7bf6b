"""Photos with label maps in folders: finds the pairs, and checks each before it is stored."""

from collections.abc import Sequence
import dataclasses
import pathlib

import numpy as np

from hrnet_jax.data import images
from hrnet_jax.data.builders import base, folders

LABEL_SUFFIXES = (".png",)


@dataclasses.dataclass(frozen=True)
class Pair:
  """A photo and its label map; `name` is the path in the folder without the suffix."""

  name: str
  image: pathlib.Path
  label: pathlib.Path

  @property
  def size(self) -> int:
    """Bytes of the two files."""
    return sum(folders.stat(path).st_size for path in (self.image, self.label))

  def signature(self) -> str:
    """Changes when one of the two files does."""
    stats = [folders.stat(path) for path in (self.image, self.label)]
    return f"{self.name} {[(stat.st_size, stat.st_mtime_ns) for stat in stats]}"


def find_pairs(image_dir: pathlib.Path, label_dir: pathlib.Path) -> list[Pair]:
  """Lists the photos of a folder with their labels, sorted by name.

  Args:
    image_dir: photos (.jpg, .jpeg, .png), possibly in folders of their own.
    label_dir: PNG labels under the same names.

  Raises:
    FileNotFoundError: a folder is missing or holds no image, or a photo or label has no
      counterpart; the message names the first one and says how many there are.
    ValueError: two files of one name.
  """
  photos = folders.list_files(image_dir, folders.IMAGE_SUFFIXES)
  labels = folders.list_files(label_dir, LABEL_SUFFIXES)
  if not photos:
    raise FileNotFoundError(
      f"{image_dir}: no images ({', '.join(folders.IMAGE_SUFFIXES)}) in this folder"
    )
  _require_counterparts("image", photos, "label", label_dir, labels, LABEL_SUFFIXES)
  _require_counterparts("label", labels, "image", image_dir, photos, folders.IMAGE_SUFFIXES)
  return [Pair(name, photos[name], labels[name]) for name in sorted(photos)]


def read_pair(pair: Pair, class_names: Sequence[str], void: int | None = None) -> dict:
  """Reads and checks one pair.

  Args:
    pair: the two files.
    class_names: ids 0 to len - 1 may occur, and 255, which is ignored.
    void: one more id that may occur, stored as 255.

  Returns:
    The record: the image's bytes untouched, and the label's unless an id had to change.

  Raises:
    FileNotFoundError: a file cannot be read.
    ValueError: one of them is corrupt or truncated, the sizes differ, or an id is not a class;
      the message names the file.
  """
  image_bytes, label_bytes = folders.read_bytes(pair.image), folders.read_bytes(pair.label)
  image = images.decode_rgb(image_bytes, str(pair.image))
  label = images.decode_label(label_bytes, str(pair.label))
  if image.shape[:2] != label.shape:
    (height, width), (label_height, label_width) = image.shape[:2], label.shape
    raise ValueError(
      f"{pair.label}: the label is {label_width}x{label_height} (width x height), but its image "
      f"{pair.image} is {width}x{height}; both must have the same size"
    )
  if void is not None and (label == void).any():
    label = np.where(label == void, np.uint8(base.IGNORED), label)
    label_bytes = images.encode_png(label)
  _require_known_ids(label, str(pair.label), class_names, void)
  return {"image": image_bytes, "label": label_bytes, "name": pair.name}


def _require_counterparts(kind, have, other_kind, other_dir, others, suffixes):
  missing = sorted(have.keys() - others.keys())
  if missing:
    more = f"; {len(missing) - 1} more have none either" if len(missing) > 1 else ""
    raise FileNotFoundError(
      f"{have[missing[0]]}: this {kind} has no {other_kind}; expected "
      f"{other_dir / missing[0]}{' or '.join(suffixes)}{more}"
    )


def _require_known_ids(label, name, class_names, void):
  counts = np.bincount(label.ravel(), minlength=256)
  unknown = [i for i in np.flatnonzero(counts) if len(class_names) <= i != base.IGNORED]
  if unknown:
    pixels = ", ".join(f"value {i} in {counts[i]} pixels" for i in unknown[:5])
    ignored = "255 is" if void is None else f"{void} and 255 are"
    raise ValueError(
      f"{name}: {pixels}; there are {len(class_names)} classes, so ids 0 to "
      f"{len(class_names) - 1} may occur, and {ignored} ignored"
    )
