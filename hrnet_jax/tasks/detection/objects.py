"""Objects of a record, moved with their image and padded: `(N, 4), ... -> (M, 4), (M, m, m), ...`.

Boxes are x0 y0 x1 y1 in pixels from the image's left and upper edge, so that x1 - x0 is the width.
Resizing, clipping and mirroring follow `mmdet/datasets/transforms/` of mmdetection 3.
"""

from collections.abc import Mapping
import dataclasses
import json
import math

import numpy as np

from hrnet_jax.errors import UserError
from hrnet_jax.ops import rle

_THINNEST = 1e-3  # pixels; of thinner boxes nothing is left but what was rounded


@dataclasses.dataclass(frozen=True)
class Move:
  """Resizing, mirroring and padding of an image.

  Attributes:
    old: height and width of the image as stored.
    new: of the resized image.
    flip: whether it was then mirrored.
  """

  old: tuple[int, int]
  new: tuple[int, int]
  flip: bool = False

  @property
  def factors(self) -> np.ndarray:
    """Factors of x0 y0 x1 y1, `(4,)` float32: both sides were rounded by themselves."""
    y, x = (new / old for new, old in zip(self.new, self.old, strict=True))
    return np.array([x, y, x, y], np.float32)


@dataclasses.dataclass(frozen=True)
class Padding:
  """How objects become arrays of one size.

  Attributes:
    max_objects: M, rows.
    masks: whether there are masks.
    mask_size: m, side of the masks.
    min_area: of a box in pixels of the resized image; smaller ones are left out.
  """

  max_objects: int = 100
  masks: bool = False
  mask_size: int = 112
  min_area: float = 0.0

  def __post_init__(self):
    for field in ("max_objects", "mask_size"):
      if getattr(self, field) < 1:
        raise UserError(f"transform.{field} is {getattr(self, field)}, expected 1 or more")
    if self.min_area < 0:
      raise UserError(f"transform.min_area is {self.min_area}, expected 0 or more")

  def arrays(self, record: Mapping, move: Move) -> dict[str, np.ndarray]:
    """The objects of a record that a network learns from.

    Boxes are clipped to the image; those of which nothing is left are left out. Of more than M
    objects the largest are kept.

    Returns:
      `boxes (M, 4)` float32, `classes (M,)` int32, `valid (M,)` bool, zeros where it is False, and
      perhaps `masks (M, m, m)` uint8: how much of each cell of its box an object covers, 255 being
      all and at least 128 at least half.

    Raises:
      ValueError: masks are asked for and an object has none; names it.
    """
    boxes = clip(record["boxes"] * move.factors, move.new)
    chosen = self._choose(boxes, record["ignored"])
    count, boxes = len(chosen), boxes[chosen]
    padded = {
      "boxes": _pad(mirror(boxes, move.new[1]) if move.flip else boxes, self.max_objects),
      "classes": _pad(record["classes"][chosen].astype(np.int32), self.max_objects),
      "valid": np.arange(self.max_objects) < count,
    }
    if self.masks:
      padded["masks"] = self._masks(record, chosen, boxes / np.float64(move.factors), move)
    return padded

  def _choose(self, boxes, ignored):
    sides = boxes[:, 2:] - boxes[:, :2]
    areas = sides.prod(1)
    usable = np.flatnonzero(~ignored & (sides > _THINNEST).all(1) & (areas >= self.min_area))
    largest = np.argsort(-areas[usable], kind="stable")[: self.max_objects]
    return usable[np.sort(largest)]

  def _masks(self, record, chosen, boxes, move):
    side = self.mask_size
    out = np.zeros((self.max_objects, side, side), np.uint8)
    texts = json.loads(record["masks"])
    for row, number, box in zip(out, chosen, boxes, strict=False):
      if texts[number] is None:
        raise UserError(
          f"{record['name']}: annotation {record['ids'][number]} has no segmentation, so it "
          "serves networks for boxes alone (transform.train.masks and transform.eval.masks False)"
        )
      mask = resample(rle.decode(texts[number], move.old), box, side)
      row[:] = mask[:, ::-1] if move.flip else mask
    return out


def resized_size(size: tuple[int, int], scale: tuple[int, int]) -> tuple[int, int]:
  """Height and width of the largest image that `scale` admits, of the same aspect as `size`.

  Args:
    size: height and width.
    scale: the longest that the long and the short side may be.
  """
  height, width = size
  long, short = scale
  factor = min(long / max(size), short / min(size))
  return max(1, int(height * factor + 0.5)), max(1, int(width * factor + 0.5))


def clip(boxes: np.ndarray, size: tuple[int, int]) -> np.ndarray:
  """Boxes `(N, 4)` cut to an image of `size` (height, width)."""
  height, width = size
  return np.clip(boxes, 0, np.array([width, height, width, height], boxes.dtype))


def mirror(boxes: np.ndarray, width: int) -> np.ndarray:
  """Boxes `(N, 4)` of the mirrored image."""
  x0, y0, x1, y1 = boxes.T
  return np.stack([width - x1, y0, width - x0, y1], 1)


def resample(mask: np.ndarray, box: np.ndarray, side: int) -> np.ndarray:
  """The part of a mask in a box as `side x side` cells: exact shares of their areas, times 255.

  Args:
    mask: `(H, W)` of 0 and 1.
    box: x0 y0 x1 y1 in its pixels, not empty.
    side: cells along a side of the box.

  Returns:
    `(side, side)` uint8.
  """
  x0, y0, x1, y1 = (float(v) for v in clip(np.asarray(box)[None], mask.shape)[0])
  columns = slice(math.floor(x0), math.ceil(x1))
  rows = _means(mask[:, columns], y0, y1, side)
  share = _means(rows.T, x0 - columns.start, x1 - columns.start, side).T
  return np.rint(255 * np.clip(share, 0, 1)).astype(np.uint8)


def _means(array: np.ndarray, low: float, high: float, cells: int) -> np.ndarray:
  """Means over equal cells between two places along the first axis: `(n, k) -> (cells, k)`.

  Between two pixels the integral is a straight line.
  """
  first, last = math.floor(low), math.ceil(high)
  integral = np.zeros((last - first + 1, array.shape[1]))
  np.cumsum(array[first:last], 0, out=integral[1:])
  edges = np.linspace(low - first, high - first, cells + 1)
  pixels = np.minimum(edges.astype(np.int64), last - first - 1)
  below = integral[pixels]
  at_edges = below + (edges - pixels)[:, None] * (integral[pixels + 1] - below)
  return np.diff(at_edges, axis=0) * (cells / (high - low))


def _pad(array: np.ndarray, count: int) -> np.ndarray:
  out = np.zeros((count, *array.shape[1:]), array.dtype)
  out[: len(array)] = array
  return out
