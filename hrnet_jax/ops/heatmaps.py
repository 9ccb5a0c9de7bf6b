"""Heat maps to keypoints: `(B, h, w, L) -> (B, L, 2)`, x and y.

A position in a heat map is whole in the middle of a cell. The rules are those of
lib/core/evaluation.py in the official repository for faces, apart from `dark`.
"""

from collections.abc import Callable, Sequence
import math

import jax
import jax.numpy as jnp
import numpy as np

MISSING = -1.0  # both coordinates of a keypoint whose heat map is nowhere positive
_SMALLEST = 1e-10  # below this a heat map has no logarithm worth having
_REACH = 2  # cells that the stencil of the second derivative extends
_STENCIL = [(x, y) for x in (-1, 0, 1) for y in (-1, 0, 1)] + [(2, 0), (-2, 0), (0, 2), (0, -2)]


def decode(heatmaps: jax.Array, refine: str, *, sigma: float = 1.0) -> jax.Array:
  """Position of every keypoint in its heat map.

  Args:
    heatmaps: `(B, h, w, L)`.
    refine: a key of `REFINEMENTS`: how the position is found between cells.
    sigma: standard deviation in cells of the targets that the network was trained with.

  Returns:
    `(B, L, 2)`, float32 or wider. `MISSING` where the map has no positive value.

  Raises:
    ValueError: unknown `refine`; the message lists those there are.
  """
  if refine not in REFINEMENTS:
    raise ValueError(f"unknown refinement {refine!r}; known: {', '.join(sorted(REFINEMENTS))}")
  heatmaps = heatmaps.astype(jnp.promote_types(heatmaps.dtype, jnp.float32))
  cells, values = peaks(heatmaps)
  positions = cells + REFINEMENTS[refine](heatmaps, cells, sigma)
  return jnp.where(values[..., None] > 0, positions, MISSING)


def peaks(heatmaps: jax.Array) -> tuple[jax.Array, jax.Array]:
  """Cell and value of the maximum: `(B, L, 2)` int32, `(B, L)`; the first by rows if several."""
  flat = _flat(heatmaps)
  index = flat.argmax(1)
  cells = jnp.stack([index % heatmaps.shape[2], index // heatmaps.shape[2]], axis=-1)
  return cells.astype(jnp.int32), jnp.take_along_axis(flat, index[:, None], axis=1)[:, 0]


def no_shift(heatmaps: jax.Array, cells: jax.Array, sigma: float) -> jax.Array:
  """The middle of the cell."""
  del heatmaps, sigma
  return jnp.zeros(cells.shape, jnp.float32)


def quarter(heatmaps: jax.Array, cells: jax.Array, sigma: float) -> jax.Array:
  """A quarter of a cell toward the larger neighbour, along each axis; as the reference.

  Equal neighbours give no shift, and a peak in the first or last row or column neither.
  """
  del sigma
  right, left, below, above = _around(heatmaps, cells, ((1, 0), (-1, 0), (0, 1), (0, -1)))
  shift = 0.25 * jnp.sign(jnp.stack([right - left, below - above], axis=-1))
  return jnp.where(_inside(heatmaps, cells, 1), shift, 0)


def dark(heatmaps: jax.Array, cells: jax.Array, sigma: float) -> jax.Array:
  """To the top of the Gaussian that has the map's derivatives; Zhang et al., CVPR 2020.

  The logarithm of a Gaussian is a parabola, whose top one Newton step reaches. The map is smoothed
  with the targets' own Gaussian first (their section 3.2), because a predicted bump has several
  tops; they also scale it back to its old height, which derivatives of the logarithm do not see.
  No shift within two cells of the border, or where the map is not curved like a top.
  """
  logs = jnp.log(jnp.maximum(_smooth(heatmaps, sigma), _SMALLEST))
  v = dict(zip(_STENCIL, _around(logs, cells, _STENCIL), strict=True))
  gx, gy = (v[1, 0] - v[-1, 0]) / 2, (v[0, 1] - v[0, -1]) / 2
  gxx = (v[2, 0] - 2 * v[0, 0] + v[-2, 0]) / 4
  gyy = (v[0, 2] - 2 * v[0, 0] + v[0, -2]) / 4
  gxy = (v[1, 1] - v[-1, 1] - v[1, -1] + v[-1, -1]) / 4
  determinant = gxx * gyy - gxy * gxy
  top = (gxx < 0) & (determinant > 0)
  divisor = jnp.where(top, determinant, 1)
  shift = jnp.stack([gxy * gy - gyy * gx, gxy * gx - gxx * gy], axis=-1) / divisor[..., None]
  # Beyond the cells that were looked at the parabola says nothing.
  good = top[..., None] & (jnp.abs(shift).max(-1, keepdims=True) <= _REACH)
  return jnp.where(good & _inside(heatmaps, cells, _REACH), shift, 0)


REFINEMENTS: dict[str, Callable[[jax.Array, jax.Array, float], jax.Array]] = {
  "dark": dark,
  "none": no_shift,
  "quarter": quarter,
}


def to_image(positions: jax.Array, window: jax.Array, size: int) -> jax.Array:
  """Positions in heat maps to positions in the image.

  Args:
    positions: `(B, L, 2)`.
    window: `(B, 3)` left, top and side in the image of what the heat maps show.
    size: side of the heat maps.
  """
  corner, side = window[:, None, :2], window[:, None, 2:]
  return corner + (positions + 0.5) * (side / size)


def to_whole_pixels(positions: jax.Array, table: jax.Array) -> jax.Array:
  """The same with the rounding of the reference, whose predictions are whole pixels.

  Args:
    positions: `(B, L, 2)`, multiples of a quarter from -1 on, as `quarter` gives them.
    table: `(B, 2, Q)` coordinates of such positions; entry k is that of `k / 4 - 1`.

  Returns:
    `(B, L, 2)` in the dtype of `table`.
  """
  index = jnp.round(4 * (positions + 1)).astype(jnp.int32)
  return jnp.take_along_axis(table, index.swapaxes(1, 2), axis=2).swapaxes(1, 2)


def _flat(heatmaps: jax.Array) -> jax.Array:
  batch, height, width, keypoints = heatmaps.shape
  return heatmaps.reshape(batch, height * width, keypoints)


def _around(heatmaps: jax.Array, cells: jax.Array, offsets: Sequence[tuple[int, int]]) -> jax.Array:
  """Value at each of the (x, y) offsets from the cells, `n * (B, L)`; of a cell inside the map."""
  _, height, width, _ = heatmaps.shape
  shifted = cells[:, None] + jnp.asarray(offsets)[:, None]
  x, y = jnp.clip(shifted[..., 0], 0, width - 1), jnp.clip(shifted[..., 1], 0, height - 1)
  return jnp.moveaxis(jnp.take_along_axis(_flat(heatmaps), y * width + x, axis=1), 1, 0)


def _inside(heatmaps: jax.Array, cells: jax.Array, margin: int) -> jax.Array:
  """Whether a cell is at least `margin` cells away from the border, `(B, L, 1)`."""
  last = jnp.array([heatmaps.shape[2], heatmaps.shape[1]]) - 1
  return ((cells >= margin) & (cells <= last - margin)).all(-1, keepdims=True)


def _smooth(heatmaps: jax.Array, sigma: float) -> jax.Array:
  """Convolves with a Gaussian, zero outside; two products with banded matrices."""
  rows, columns = (_band(n, sigma).astype(heatmaps.dtype) for n in heatmaps.shape[1:3])
  highest = jax.lax.Precision.HIGHEST
  half = jnp.einsum("yh,bhwl->bywl", rows, heatmaps, precision=highest)
  return jnp.einsum("xw,bywl->byxl", columns, half, precision=highest)


def _band(n: int, sigma: float) -> np.ndarray:
  distance = np.arange(n)[:, None] - np.arange(n)
  weight = np.exp(-(distance**2) / (2 * sigma**2)) * (abs(distance) <= math.ceil(3 * sigma))
  return weight / (sigma * math.sqrt(2 * math.pi))
