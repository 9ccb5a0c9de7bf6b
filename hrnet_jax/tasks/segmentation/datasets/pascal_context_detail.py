"""Label maps of PASCAL in Detail's JSON: annotations with masks in run-length code to `(H, W)` ids.

What is read of `trainval_merged.json`:

    images              image_id, file_name, height, width, phase (train or val)
    annos_segmentation  image_id, category_id, segmentation: {size: [H, W], counts: text}

The masks are painted in the order of the file, later ones over earlier ones, and what none covers
is 0, as `getMask` of github.com/zhanghang1989/detail-api has it.
"""

import dataclasses
import pathlib
from typing import Any

import numpy as np

from hrnet_jax.data.datasets import folders
from hrnet_jax.data.reading import Reading
from hrnet_jax.data.regular_files import find_named
from hrnet_jax.data.text import read_json
from hrnet_jax.errors import UserError
from hrnet_jax.ops import rle

FILE = "trainval_merged.json"
_SPLITS = ("train", "val")
_MAX_CATEGORIES = 2**16  # far more than the 459 of PASCAL-Context


@dataclasses.dataclass(frozen=True)
class DetailEntry:
  """A photo and its masks; `name` is the file's name without the suffix.

  Attributes:
    json_file: where the masks come from.
    shape: height and width by the file.
    masks: category and run-length code, in the order of the file.
  """

  name: str
  image: pathlib.Path
  json_file: pathlib.Path
  shape: tuple[int, int]
  masks: tuple[tuple[int, dict[str, Any]], ...]

  @property
  def size(self) -> int:
    """Bytes of the photo and of the masks."""
    return folders.stat(self.image).st_size + sum(len(code["counts"]) for _, code in self.masks)

  def cache_key(self) -> str:
    """Changes when the photo or the JSON file does."""
    stats = [folders.stat(path) for path in (self.image, self.json_file)]
    return f"{self.name} {[(stat.st_size, stat.st_mtime_ns) for stat in stats]}"


def read_entries(
  json_file: pathlib.Path, image_dir: pathlib.Path, reading: Reading
) -> dict[str, list[DetailEntry]]:
  """Lists the photos of `train` and `val` in the order of the file.

  Photos that are missing or lie elsewhere are bad.

  Raises:
    ValueError: the file is not as described above, or has no photo of a split.
  """
  content = read_json(json_file)
  try:
    masks: dict[Any, list] = {}
    for entry in content["annos_segmentation"]:
      code = dict(entry["segmentation"])
      if not isinstance(code["size"], list) or not isinstance(code["counts"], str):
        raise TypeError(f"a mask is {code!r:.80}")
      mask = (int(entry["category_id"]), code)
      masks.setdefault(entry["image_id"], []).append(mask)
    found: dict[str, list[DetailEntry]] = {split: [] for split in _SPLITS}
    for entry in content["images"]:
      if entry["phase"] in found:
        with reading.problems.noted():
          found[entry["phase"]].append(_entry(entry, masks, json_file, image_dir, reading))
  except UserError:
    raise
  except (TypeError, ValueError, KeyError, AttributeError, OverflowError) as error:
    raise UserError(
      f"{json_file}: not the JSON file of PASCAL in Detail ({type(error).__name__}: {error}); "
      "expected images and annos_segmentation"
    ) from error
  phases = {entry["phase"] for entry in content["images"]}
  for split in found:
    if split not in phases:
      raise UserError(f"{json_file}: no image of phase {split!r}")
  photos = [entry.image for entries in found.values() for entry in entries]
  reading.say_unnamed([image_dir], photos, "no image of phase train or val", deep=False)
  return found


def draw(entry: DetailEntry) -> np.ndarray:
  """Draws the map of category ids, int32 `(H, W)`.

  Raises:
    ValueError: a mask has another size than the image, its code is damaged, or its category is no
      id at all; names the photo.
  """
  label = np.zeros(entry.shape, np.int32)
  for number, (category, code) in enumerate(entry.masks):
    where = f"{entry.json_file}, image {entry.name}, mask {number} (category {category})"
    if tuple(code.get("size", ())) != entry.shape:
      raise UserError(f"{where}: size {code.get('size')}; expected {list(entry.shape)}")
    if not 0 <= category < _MAX_CATEGORIES:
      raise UserError(f"{where}: the category is no id; expected 0 to {_MAX_CATEGORIES - 1}")
    label[decode_runs(code.get("counts"), entry.shape, where)] = category
  return label


def decode_runs(text: Any, shape: tuple[int, int], where: str) -> np.ndarray:
  """Decodes COCO's compressed run-length code of a mask to bool `(H, W)`; see `ops/rle.py`.

  Raises:
    ValueError: not such a code, or of another number of pixels; the message starts with `where`.
  """
  try:
    runs = rle.runs(text if isinstance(text, str) else "")
  except ValueError:
    raise UserError(
      f"{where}: counts is {text!r:.40}; expected a compressed run-length code"
    ) from None
  if runs.min() < 0 or runs.sum() != shape[0] * shape[1]:
    raise UserError(f"{where}: counts covers {runs.sum()} pixels; expected {shape[0] * shape[1]}")
  return rle.decode(text, shape).astype(bool)


def _entry(entry, masks, json_file, image_dir, reading):
  name = str(entry["file_name"])
  image = find_named([image_dir], name, f"{json_file}, image {name}", reading.within)
  if image is None:
    raise FileNotFoundError(f"{image_dir / name}: no such file, but {json_file} names it")
  shape = (int(entry["height"]), int(entry["width"]))
  return DetailEntry(image.stem, image, json_file, shape, tuple(masks.get(entry["image_id"], ())))
