"""Features of regions at a fixed size: `levels of (B, h, w, C), (B, R, 4) -> (B, R, S, S, C)`."""

from collections.abc import Sequence
import enum
import functools
import math

import jax
import jax.numpy as jnp
import numpy as np

from hrnet_jax.ops.boxes import Convention, sizes

FINEST_SCALE = 56  # from twice this square root of area on, a region leaves the finest level
STRIDES = (4, 8, 16, 32)
SAMPLES = 2  # along each axis of a bin
_CHUNK = 64  # regions that `RoiAlignMethod.MATRIX` takes at a time


class RoiAlignMethod(enum.StrEnum):
  """Ways to read the features; the numbers are the same.

  `GATHER` reads 16 cells for each bin, and adds to 16 in the gradient. `MATRIX` multiplies every
  level with two interpolation matrices for each region: no gather and no scatter, but work that
  grows with the area of the image. 512 regions of 7 x 7 x 256 from an image of 256 x 320, on
  two CPU cores: gathering takes 0.05 s, and 0.16 s with the gradient, for 0.1 GMAC; matrices
  take 0.6 s and 2.2 s for 7 GMAC. They are for devices on which a scatter is slow, such as TPUs.
  """

  GATHER = "gather"
  MATRIX = "matrix"


def levels_of(boxes: jax.Array, convention: Convention, count: int = len(STRIDES)) -> jax.Array:
  """The level that each region is read from, by its area.

  Args:
    boxes: `(..., 4)` in pixels of the image.
    convention: of the boxes.
    count: number of levels.

  Returns:
    `(...)` int32 from 0, the finest, to `count - 1`.
  """
  scale = jnp.sqrt(sizes(boxes, convention).prod(-1)) / FINEST_SCALE + 1e-6
  # floor(log2(scale)) without the rounding of a logarithm at whole powers.
  return (scale[..., None] >= 2.0 ** np.arange(1, count)).sum(-1, dtype=jnp.int32)


def roi_align(
  features: Sequence[jax.Array],
  boxes: jax.Array,
  size: int,
  *,
  convention: Convention,
  strides: Sequence[int] = STRIDES,
  method: RoiAlignMethod | str = RoiAlignMethod.GATHER,
) -> jax.Array:
  """Reads each region from the level that suits it, by bilinear interpolation.

  A bin is the mean of 2 x 2 points. Up to a cell beyond the border a point has the value on the
  border, farther out it is zero. Modern regions are moved by half a cell, so that cell 0 has
  its middle at half a stride; legacy ones end with their last pixel and are not moved. The
  gradient is that of the features alone.

  Args:
    features: `(B, h, w, C)` of each level, finest first.
    boxes: `(B, R, 4)` in pixels of the image; any finite values.
    size: bins along each axis.
    convention: of the boxes.
    strides: of the levels.
    method: see `RoiAlignMethod`.

  Returns:
    `(B, R, size, size, C)` in the dtype of the features; sums are at least float32.

  Raises:
    ValueError: the numbers of levels and strides differ, or `method` is unknown.
  """
  if len(features) != len(strides):
    raise ValueError(f"roi_align has {len(features)} levels, but {len(strides)} strides")
  read = _MADE[RoiAlignMethod(method)]
  dtype = features[0].dtype
  # Not only for the sums here: the gradient adds up what overlapping regions send to a cell.
  maps = [x.astype(jnp.promote_types(dtype, jnp.float32)) for x in features]
  boxes = jax.lax.stop_gradient(boxes).astype(maps[0].dtype)
  one = functools.partial(read, size=size, convention=convention, strides=tuple(strides))
  return jax.vmap(one)(maps, boxes).astype(dtype)


def _gather(
  maps: Sequence[jax.Array],
  boxes: jax.Array,
  *,
  size: int,
  convention: Convention,
  strides: tuple[int, ...],
) -> jax.Array:
  shapes = [x.shape[:2] for x in maps]
  starts = np.cumsum([0, *(math.prod(shape) for shape in shapes)])[:-1]
  table = jnp.concatenate([x.reshape(-1, x.shape[-1]) for x in maps])
  level = levels_of(boxes, convention, len(maps))
  (row, by_row), (column, by_column) = _taps(shapes, boxes, level, size, convention, strides)
  start, width = (
    jnp.asarray(x)[level][:, None, None, None, None] for x in (starts, [w for _, w in shapes])
  )
  index = start + row[:, :, None, :, None] * width + column[:, None, :, None, :]
  weight = by_row[:, :, None, :, None] * by_column[:, None, :, None, :]

  # One neighbour at a time: all at once would need 16 times the memory of the result.
  def add(total: jax.Array, tap: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, None]:
    cell, share = tap
    return total + share[:, None] * jnp.take(table, cell, axis=0, mode="clip"), None

  taps = [x.reshape(-1, (2 * SAMPLES) ** 2).T for x in (index, weight)]
  total = jnp.zeros((taps[0].shape[1], table.shape[1]), table.dtype)
  total, _ = jax.lax.scan(add, total, tuple(taps))
  return total.reshape(-1, size, size, table.shape[1])


def _matrix(
  maps: Sequence[jax.Array],
  boxes: jax.Array,
  *,
  size: int,
  convention: Convention,
  strides: tuple[int, ...],
) -> jax.Array:
  shapes = [x.shape[:2] for x in maps]
  multiply = functools.partial(jnp.einsum, precision=jax.lax.Precision.HIGHEST)

  def read(box: jax.Array) -> jax.Array:
    level = levels_of(box[None], convention, len(maps))
    taps = _taps(shapes, box[None], level, size, convention, strides)
    total = 0
    for k, x in enumerate(maps):
      rows, columns = (_dense(*tap, n)[0] for tap, n in zip(taps, x.shape[:2], strict=True))
      half = multiply("ih,hwc->iwc", rows * (level == k), x)
      total += multiply("jw,iwc->ijc", columns, half)
    return total

  return jax.lax.map(read, boxes, batch_size=_CHUNK)


_MADE = {RoiAlignMethod.GATHER: _gather, RoiAlignMethod.MATRIX: _matrix}


def _taps(
  shapes: Sequence[tuple[int, int]],
  boxes: jax.Array,
  level: jax.Array,
  size: int,
  convention: Convention,
  strides: tuple[int, ...],
) -> tuple[tuple[jax.Array, jax.Array], ...]:
  """For rows and for columns: indices and weights of what makes up each bin, `(R, S, 4) x 2`."""
  scale = (1 / jnp.asarray(strides, boxes.dtype))[level, None]
  start = boxes[:, :2] * scale - (0.5 if convention is Convention.MODERN else 0)
  extent = sizes(boxes, convention) * scale
  lengths = jnp.asarray(shapes, jnp.int32)[level]
  return tuple(_axis_taps(start[:, k], extent[:, k], lengths[:, 1 - k], size) for k in (1, 0))


def _axis_taps(
  start: jax.Array, extent: jax.Array, length: jax.Array, size: int
) -> tuple[jax.Array, jax.Array]:
  points = (np.arange(size * SAMPLES) + 0.5) / (size * SAMPLES)
  position = start[:, None] + points * extent[:, None]
  last = length[:, None] - 1
  exists = (position >= -1) & (position <= length[:, None])
  position = jnp.clip(position, 0, last.astype(position.dtype))
  low = jnp.floor(position).astype(jnp.int32)
  toward = position - low
  index = jnp.stack([low, jnp.minimum(low + 1, last)], axis=-1)
  weight = jnp.stack([1 - toward, toward], axis=-1) * exists[..., None] / SAMPLES
  return tuple(x.reshape(-1, size, 2 * SAMPLES) for x in (index, weight))


def _dense(index: jax.Array, weight: jax.Array, length: int) -> jax.Array:
  """The same as matrices `(R, S, length)`."""
  return (weight[..., None] * (index[..., None] == jnp.arange(length))).sum(2)
