"""Masks of objects as COCO's compressed run lengths: `(H, W)` of 0 and 1 <-> a short ASCII text.

Runs go down the columns, and those of zeros and of ones take turns, zeros first. In the text,
which COCO calls `counts`, a run from the fourth on is the difference to the one two before; numbers
are written in digits of five bits, lowest first.
"""

from collections.abc import Sequence

import numpy as np
from pycocotools import mask as coco_mask

from hrnet_jax.errors import UserError

Size = tuple[int, int]  # height, width
_MOST_SIDES = 10  # of the image, as far as a polygon may reach
_MOST_OUTLINE = 1000  # heights and widths, of all polygons of an object
_MOST_POLYGONS = 10_000
_MIN_COORDINATES = 6  # of a polygon: three corners


def encode(mask: np.ndarray) -> str:
  """Run lengths of a mask `(H, W)`; whatever is not 0 belongs to the object."""
  return coco_mask.encode(np.asfortranarray(mask != 0, np.uint8))["counts"].decode()


def decode(counts: str, size: Size) -> np.ndarray:
  """The mask `(H, W)` uint8 of 0 and 1.

  Raises:
    ValueError: the text is damaged, or of a mask of another size.
  """
  lengths = checked_runs(counts, size)
  values = np.arange(len(lengths), dtype=np.uint8) & 1
  return np.repeat(values, lengths).reshape(size[::-1]).T


def area(counts: str, size: Size) -> int:
  """Number of pixels of the object; errors as `decode`."""
  return int(checked_runs(counts, size)[1::2].sum())


def from_polygons(polygons: Sequence[Sequence[float]], size: Size) -> str:
  """Run lengths of the union of polygons, rasterised by COCO's rules.

  Args:
    polygons: `x0, y0, x1, y1, ...` each, in pixels from the left and upper edge of the image. Those
      of fewer than three corners enclose nothing and are left out.
    size: of the image; what lies outside is cut off.

  Raises:
    ValueError: no polygon of three corners, an odd number of coordinates, not numbers, far
      outside of the image, or outlines without end.
  """
  if len(polygons) > _MOST_POLYGONS:
    raise UserError(f"{len(polygons)} polygons; an object can have {_MOST_POLYGONS}")
  arrays = [_checked_polygon(polygon, size) for polygon in polygons]
  outline = sum(map(_outline, arrays))
  if outline > _MOST_OUTLINE * sum(size):
    raise UserError(
      f"the outlines of the polygons are {outline:.0f} pixels long, but the image has "
      f"{size[1]}x{size[0]} pixels"
    )
  proper = [array.tolist() for array in arrays if len(array) >= _MIN_COORDINATES]
  if not proper:
    raise UserError(f"{len(arrays)} polygons, none of which has three corners")
  return coco_mask.merge(coco_mask.frPyObjects(proper, *size))["counts"].decode()


def from_runs(lengths: Sequence[int], size: Size) -> str:
  """The text of plain run lengths, zeros first.

  Raises:
    ValueError: not whole numbers from 0 that add up to the number of pixels.
  """
  array = np.asarray(lengths)
  if array.ndim != 1 or array.dtype.kind not in "iu":
    raise UserError("the run lengths are not a list of whole numbers")
  _check_lengths(array, size)
  return coco_mask.frPyObjects({"size": list(size), "counts": array.tolist()}, *size)[
    "counts"
  ].decode()


def checked_runs(counts: str, size: Size) -> np.ndarray:
  """Lengths of the runs of a mask `(H, W)`, zeros first: int64, which add up to `H * W`.

  Raises:
    ValueError: the text is damaged, or of a mask of another size.
  """
  lengths = runs(counts)
  _check_lengths(lengths, size)
  return lengths


def runs(counts: str) -> np.ndarray:
  """Lengths of the runs, zeros first: int64, as the text has them.

  Raises:
    ValueError: the text is damaged.
  """
  digits = np.frombuffer(counts.encode(), np.uint8).astype(np.int64) - 48
  # Of six bits the highest says that more digits follow; in the last digit the next is the sign.
  ends = np.flatnonzero(digits & 32 == 0)
  if not len(digits) or digits.min() < 0 or digits.max() > 63 or digits[-1] & 32:
    raise UserError("the compressed run lengths are damaged")
  starts = np.concatenate([[0], ends[:-1] + 1])
  place = np.arange(len(digits)) - np.repeat(starts, ends - starts + 1)
  if place.max() > 6:  # 35 bits are more than any image has
    raise UserError("the compressed run lengths are damaged")
  values = np.add.reduceat((digits & 31) << 5 * place, starts)
  values -= (digits[ends] & 16) << 5 * place[ends] + 1
  for first in (1, 2):
    values[first::2] = np.cumsum(values[first::2])
  return values


def _check_lengths(lengths: np.ndarray, size: Size) -> None:
  height, width = size
  # Looked at one by one first: sums of larger numbers can wrap to the right one.
  wrong = (lengths < 0).any() or (lengths > height * width).any()
  if wrong or lengths.sum() != height * width:
    raise UserError(
      f"the run lengths are of {sum(lengths.tolist())} pixels, but the image has {width}x{height}, "
      f"{height * width}"
    )


def _outline(polygon: np.ndarray) -> float:
  """Pixels that rasterising goes through."""
  corners = polygon.reshape(-1, 2)
  return float(np.abs(corners - np.roll(corners, 1, 0)).max(1, initial=0).sum())


def _checked_polygon(polygon: Sequence[float], size: Size) -> np.ndarray:
  try:
    array = np.asarray(polygon, np.float64)
  except (TypeError, ValueError, OverflowError):
    array = np.zeros((1, 1))
  if array.ndim != 1 or len(array) % 2 or not np.isfinite(array).all():
    raise UserError("a polygon is not a list of finite numbers x0, y0, x1, y1, ...")
  # Rasterising takes time and memory for every pixel of the outline, inside the image or not.
  reach = _MOST_SIDES * max(size)
  if len(array) and np.abs(array).max() > reach:
    raise UserError(
      f"a polygon reaches to {np.abs(array).max():g}, but the image has {size[1]}x{size[0]} pixels"
    )
  return array
