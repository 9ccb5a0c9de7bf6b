"""Sizes, windows and interpolation taps of multi-scale testing, on the host: `(H, W)` -> arrays.

Images of several sizes share one program. What differs between them, where each output pixel reads
and which windows count, is data: arrays of one static shape.
"""

from collections.abc import Sequence
import dataclasses
import math
from typing import NamedTuple

import numpy as np

from hrnet_jax.data.geometry import long_side_size
from hrnet_jax.ops.resize import Resize, taps

Size = tuple[int, int]  # height, width


@dataclasses.dataclass(frozen=True)
class Tiling:
  """How a canvas is covered by windows of one size.

  Attributes:
    canvas: size of the canvas.
    window: size of a window.
    starts: top left pixel `(y, x)` of each window.
  """

  canvas: Size
  window: Size
  starts: tuple[tuple[int, int], ...]


class Taps(NamedTuple):
  """Bilinear interpolation of one axis for B images, `(B, n)` each.

  Attributes:
    low: int32, the lower source index of every output.
    high: int32, the upper one.
    weight: float32, of the upper one.
  """

  low: np.ndarray
  high: np.ndarray
  weight: np.ndarray


def scaled_size(size: Size, base_size: int, scale: float) -> Size:
  """Size of an image at a scale, which is relative to `base_size` and not to the image."""
  return long_side_size(size, int(base_size * scale + 0.5))


def whole(size: Size, crop: Size, scale: float) -> Tiling:
  """The reference's rule for Cityscapes: up to scale 1 the whole image in one piece.

  Above, windows of `crop` side by side, the last ones moved back inside; lib/datasets/cityscapes.py
  `multi_scale_inference`.
  """
  if scale <= 1:
    return Tiling(size, size, ((0, 0),))
  axes = []
  for length, width in zip(size, crop, strict=True):
    count = max(math.ceil((length - width) / width) + 1, 1)
    ends = [min(k * width + width, length) for k in range(count)]
    axes.append([max(end - width, 0) for end in ends])
  window = (min(size[0], crop[0]), min(size[1], crop[1]))
  return Tiling(size, window, tuple((y, x) for y in axes[0] for x in axes[1]))


def count_windows(size: Size, crop: Size) -> Size:
  """Rows and columns of overlapping windows that cover an image; see `windows`."""
  rows, columns = (
    math.ceil((max(length, width) - width) / _stride(width)) + 1
    for length, width in zip(size, crop, strict=True)
  )
  return rows, columns


def windows(counts: Size, crop: Size) -> Tiling:
  """The reference's rule for all other data sets: windows that overlap by a third.

  The canvas ends where the last window does; what the image does not fill is black, as where the
  reference pads a window. lib/datasets/base_dataset.py `multi_scale_inference`.

  Args:
    counts: rows and columns of windows.
    crop: size of a window.
  """
  axes = [[k * _stride(width) for k in range(n)] for n, width in zip(counts, crop, strict=True)]
  canvas = (axes[0][-1] + crop[0], axes[1][-1] + crop[1])
  return Tiling(canvas, crop, tuple((y, x) for y in axes[0] for x in axes[1]))


def needed(tiling: Tiling, crop: Size, sizes: Sequence[Size]) -> np.ndarray:
  """Which windows of a tiling each image has by its own count: `(B, windows)` bool."""
  counts = [count_windows(size, crop) for size in sizes]
  return np.array(
    [
      [y < rows * _stride(crop[0]) and x < columns * _stride(crop[1]) for y, x in tiling.starts]
      for rows, columns in counts
    ]
  )


def make_taps(sources: Sequence[int], targets: Sequence[int], length: int, method: Resize) -> Taps:
  """Taps from `sources[b]` to `targets[b]` pixels for each image; the rest up to `length` is 0."""
  shape = (len(sources), length)
  low, high = np.zeros(shape, np.int32), np.zeros(shape, np.int32)
  weight = np.zeros(shape, np.float32)
  for b, (n_in, n_out) in enumerate(zip(sources, targets, strict=True)):
    low[b, :n_out], high[b, :n_out], weight[b, :n_out] = taps(n_in, n_out, method)
  return Taps(low, high, weight)


def make_axes(
  sources: Sequence[Size], targets: Sequence[Size], out: Size, method: Resize
) -> tuple[Taps, Taps]:
  """Taps of rows and of columns; see `make_taps`."""
  rows, columns = (
    make_taps([s[i] for s in sources], [t[i] for t in targets], out[i], method) for i in (0, 1)
  )
  return rows, columns


def _stride(width: int) -> int:
  return int(width * 2.0 / 3.0)
