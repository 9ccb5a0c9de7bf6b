"""The boxes that a region proposal network starts from: `levels of (h, w) -> (N, 4)`."""

from collections.abc import Sequence
import functools
import math

import jax
import jax.numpy as jnp
import numpy as np

from hrnet_jax.ops.boxes import Convention

RATIOS = (0.5, 1.0, 2.0)  # height to width
SCALE = 8  # side of the square anchor in cells
DIVISOR = 32  # an image of its own is padded to a multiple of this


def base_anchors(stride: int, convention: Convention) -> np.ndarray:
  """The anchors of the first cell of a level, one for each of `RATIOS`.

  Args:
    stride: pixels between two cells.
    convention: modern anchors are centred on the corner of the image and not rounded. Legacy ones
      are centred on the middle of the cell's pixels and rounded to whole pixels, halves to even.

  Returns:
    `(3, 4)` float32.
  """
  roots = np.sqrt(RATIOS)
  size = stride * SCALE * np.stack([1 / roots, roots], axis=-1)
  if convention is Convention.MODERN:
    return np.concatenate([-size / 2, size / 2], axis=-1).astype(np.float32)
  centre, half = (stride - 1) / 2, (size - 1) / 2
  return np.round(np.concatenate([centre - half, centre + half], axis=-1)).astype(np.float32)


@functools.cache
def grid(
  shapes: tuple[tuple[int, int], ...], strides: tuple[int, ...], convention: Convention
) -> np.ndarray:
  """All anchors in the order of the heads' outputs: level, row, column, ratio.

  Args:
    shapes: height and width of each level's feature map, as they are: the coarsest is floored.
    strides: of each level, in pixels.
    convention: see `base_anchors`.

  Returns:
    `(N, 4)` float32, read only; N = 3 * the sum of h * w.
  """
  levels = []
  for (height, width), stride in zip(shapes, strides, strict=True):
    y, x = (stride * np.arange(n, dtype=np.float32) for n in (height, width))
    shift = np.stack(np.broadcast_arrays(x, y[:, None], x, y[:, None]), axis=-1)
    levels.append((shift[:, :, None] + base_anchors(stride, convention)).reshape(-1, 4))
  anchors = np.concatenate(levels)
  anchors.setflags(write=False)
  return anchors


def inside(anchors: jax.Array, size: jax.Array, border: float) -> jax.Array:
  """Anchors that lie in the image and may be trained.

  Args:
    anchors: `(N, 4)`.
    size: `(2,)` height and width of the image without padding.
    border: how many pixels an anchor may stick out; below 0 there is no limit.

  Returns:
    `(N,)` bool.
  """
  if border < 0:
    return jnp.ones(anchors.shape[0], bool)
  last = jnp.asarray(size)[::-1] + border
  return ((anchors[:, :2] >= -border) & (anchors[:, 2:] < last)).all(-1)


def valid(shapes: Sequence[tuple[int, int]], strides: Sequence[int], size: jax.Array) -> jax.Array:
  """Anchors that belong to cells of the image itself, not to the rest of the batch's canvas.

  Args:
    shapes: height and width of each level.
    strides: of each level.
    size: `(2,)` height and width of the image without padding. It is padded to a multiple of
      `DIVISOR`, and the cells that this covers, in part or as a whole, are valid.

  Returns:
    `(N,)` bool in the order of `grid`.
  """
  padded = jnp.ceil(jnp.asarray(size) / DIVISOR) * DIVISOR
  levels = []
  for (height, width), stride in zip(shapes, strides, strict=True):
    rows, columns = (stride * np.arange(n) < padded[k] for k, n in enumerate((height, width)))
    cells = (rows[:, None] & columns).reshape(-1)
    levels.append(
      jnp.repeat(cells, len(RATIOS), total_repeat_length=len(RATIOS) * math.prod((height, width)))
    )
  return jnp.concatenate(levels)
