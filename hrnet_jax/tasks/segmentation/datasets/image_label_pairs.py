"""Photos with label maps in folders: finds the pairs, and checks each before it is stored."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
import dataclasses
import pathlib

import numpy as np

from hrnet_jax.data import images
from hrnet_jax.data.datasets import base, folders
from hrnet_jax.data.reading import Reading
from hrnet_jax.data.regular_files import (
  IMAGE_SUFFIXES,
  describe_left_out,
  list_files,
  read_regular,
)
from hrnet_jax.errors import UserError

LABEL_SUFFIXES = (".png",)


@dataclasses.dataclass(frozen=True)
class Pair:
  """A photo and its label map, if it has one; `name` is the path in the folder without suffix."""

  name: str
  image: pathlib.Path
  label: pathlib.Path | None

  @property
  def size(self) -> int:
    """Bytes of the files."""
    return sum(stat.st_size for stat in self._stats())

  def cache_key(self) -> str:
    """Changes when one of the files does."""
    return f"{self.name} {[(stat.st_size, stat.st_mtime_ns) for stat in self._stats()]}"

  def _stats(self):
    return [folders.stat(path) for path in (self.image, self.label) if path]


def find_pairs(
  image_dir: pathlib.Path,
  label_dir: pathlib.Path | None,
  reading: Reading,
  *,
  image_ending: str = "",
  label_ending: str = "",
  has_option: bool = False,
) -> list[Pair]:
  """Lists the photos of a folder with their labels, sorted by name.

  Args:
    image_dir: photos (see `IMAGE_SUFFIXES`), possibly in folders of their own.
    label_dir: PNG labels under the same names; None if there are none.
    reading: is told what is left out, and photos and labels without counterpart.
    image_ending: what stands between a photo's name and the suffix; other files are left out.
    label_ending: the same of labels.
    has_option: whether the user can choose `label_ending` by `--label_suffix`.

  Raises:
    FileNotFoundError: a folder is missing or holds no image, or no photo has a label.
    ValueError: two files of one name.
  """
  photos = _find(image_dir, IMAGE_SUFFIXES, image_ending, reading.say)
  photo_ends = [f"{image_ending}{suffix}" for suffix in IMAGE_SUFFIXES]
  if not photos:
    raise FileNotFoundError(f"{image_dir}: no images ({', '.join(photo_ends)}) in this folder")
  if label_dir is None:
    return [Pair(name, photos[name], None) for name in sorted(photos)]
  labels = _find(label_dir, LABEL_SUFFIXES, label_ending, reading.say)
  label_ends = [f"{label_ending}{suffix}" for suffix in LABEL_SUFFIXES]
  lacking = [
    *_without_counterpart("image", photos, "label", label_dir, labels, label_ends),
    *_without_counterpart("label", labels, "image", image_dir, photos, photo_ends),
  ]
  pairs = [Pair(name, photos[name], labels[name]) for name in sorted(photos.keys() & labels.keys())]
  if not pairs:
    more = f"; {len(lacking) - 1} more files have none either" if len(lacking) > 1 else ""
    hint = _ending_hint(photos, labels) if has_option and labels else ""
    raise FileNotFoundError(f"{lacking[0]}{more}{hint}")
  for text in lacking:
    reading.problems.note(FileNotFoundError(text))
  return pairs


def read_pair(
  pair: Pair,
  class_names: Sequence[str],
  void: int | None = None,
  decode: Callable[[bytes, str], np.ndarray] = images.decode_label,
) -> dict:
  """Reads and checks one pair whose ids are those of the classes.

  Args:
    pair: the two files.
    class_names: ids 0 to len - 1 may occur, and 255, which is ignored.
    void: one more id that may occur, stored as 255.
    decode: the label's bytes and its name for errors -> ids (H, W).

  Returns, raises: as `read_mapped`.
  """
  known = {i: i for i in (*range(len(class_names)), base.IGNORED)}
  return read_mapped(pair, known if void is None else known | {void: base.IGNORED}, decode)


def read_mapped(
  pair: Pair,
  stored: Mapping[int, int],
  decode: Callable[[bytes, str], np.ndarray] = images.decode_label,
) -> dict:
  """Reads and checks one pair, and gives the classes the ids under which they are stored.

  Args:
    pair: the two files. Without a label all pixels are ignored.
    stored: the stored id of every id that may occur, both from 0 to 255; 255 is ignored.
    decode: see `read_pair`.

  Returns:
    The record: the image's bytes untouched, and the label's unless they are of other ids.

  Raises:
    FileNotFoundError: a file cannot be read.
    ValueError: one of them is corrupt or truncated, the sizes differ, or an id is not a class;
      the message names the file.
  """
  image_bytes = read_regular(pair.image)
  size = images.decode_image(image_bytes, str(pair.image)).shape[:2]
  if pair.label is None:
    label_bytes = images.encode_png(np.full(size, base.IGNORED, np.uint8))
  else:
    label_bytes = read_regular(pair.label)
    label = decode(label_bytes, str(pair.label))
    if label.shape == size[::-1] != size and images.forget_orientation(image_bytes) != image_bytes:
      raise UserError(
        f"{pair.label}: the label is {label.shape[1]}x{label.shape[0]} (width x height), as is "
        f"{pair.image} before it is turned as the camera has marked it (EXIF); viewers show it "
        f"turned, so turn the label, too, or remove the mark"
      )
    require_same_size(str(pair.label), label.shape, pair.image, size)
    mapped = map_ids(label, stored, str(pair.label))
    if images.is_colour_png(label_bytes) or (mapped != label).any():
      label_bytes = images.encode_png(mapped)
  return {"image": image_bytes, "label": label_bytes, "name": pair.name}


def map_ids(label: np.ndarray, stored: Mapping[int, int], name: str) -> np.ndarray:
  """Replaces the ids of a map of integers `(H, W)`, none negative, by their stored ones, as uint8.

  Raises:
    ValueError: an id is not a key of `stored`; the message starts with `name`.
  """
  counts = images.count_ids(label, max(stored) + 1)
  unknown = [int(i) for i in np.flatnonzero(counts) if i not in stored]
  if unknown:
    pixels = ", ".join(f"value {i} in {counts[i]} pixels" for i in unknown[:5])
    raise UserError(f"{name}: {pixels}; {_describe(stored)}")
  table = np.zeros(len(counts), np.uint8)
  table[list(stored)] = list(stored.values())
  return table[label]


def require_same_size(
  label: str, label_size: tuple[int, int], image: pathlib.Path, size: tuple[int, int]
) -> None:
  """Raises ValueError, with both names, unless a label has the height and width of its image."""
  if label_size != size:
    raise UserError(
      f"{label}: the label is {label_size[1]}x{label_size[0]} (width x height), but its image "
      f"{image} is {size[1]}x{size[0]}; both must have the same size"
    )


def _find(folder, suffixes, ending, say):
  found = list_files(folder, suffixes)
  files = {k.removesuffix(ending): path for k, path in found.files.items() if k.endswith(ending)}
  left_out = dict(found.left_out)
  if len(files) < len(found.files):
    left_out[f"not called *{ending}{suffixes[0]}"] = len(found.files) - len(files)
  if text := describe_left_out(folder, left_out, f"{', '.join(suffixes)} files are read"):
    say(text)
  return files


def _without_counterpart(kind, have, other_kind, other_dir, others, suffixes) -> Iterator[str]:
  for name in sorted(have.keys() - others.keys()):
    yield (
      f"{have[name]}: this {kind} has no {other_kind}; expected "
      f"{other_dir / name}{' or '.join(suffixes)}"
    )


def _ending_hint(photos, labels):
  """Advice for when all labels are called like a photo and something more, such as `_mask`."""
  first = min(labels)
  for ending in {first.removeprefix(key) for key in photos if first.startswith(key)} - {""}:
    if all(key.endswith(ending) and key.removesuffix(ending) in photos for key in labels):
      return f"; if labels are called NAME{ending}, give --label_suffix={ending}"
  return ""


def _describe(stored):
  classes = sorted(i for i, value in stored.items() if value != base.IGNORED)
  count = len({stored[i] for i in classes})
  text = f"there are {count} classes, so ids {_ranges(classes)} may occur"
  ignored = stored.keys() - set(classes)
  if not ignored:
    return text
  return f"{text}; {_ranges(ignored)} {'are' if len(ignored) > 1 else 'is'} ignored"


def _ranges(ids: Iterable[int]) -> str:
  """`0, 1, 3, 4, 5` -> "0, 1, 3 to 5"."""
  runs: list[list[int]] = []
  for i in sorted(ids):
    if runs and runs[-1][-1] == i - 1:
      runs[-1].append(i)
    else:
      runs.append([i])
  short = [f"{run[0]} to {run[-1]}" if len(run) > 2 else ", ".join(map(str, run)) for run in runs]
  return ", ".join(short)
