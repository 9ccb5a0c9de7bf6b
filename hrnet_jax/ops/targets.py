"""Heat maps with one bump for each keypoint: `points (B, L, 2) -> (B, h, w, L)` float32.

Drawn where they are compared, because a heat map is a thousand times as large as its point. Points
are x and y; a whole position is the middle of a cell.
"""

import jax
import jax.numpy as jnp
import numpy as np


def gaussian_targets(points: jax.Array, size: tuple[int, int], sigma: float) -> jax.Array:
  """Gaussians of height one with their peaks exactly at the points, between cells or outside.

  Args:
    points: `(B, L, 2)`.
    size: `(h, w)`.
    sigma: standard deviation in cells.
  """
  columns, rows = (
    jnp.exp(-(_from(points[..., axis], n) ** 2) / (2 * sigma**2)) for axis, n in _axes(size)
  )
  return rows[:, :, None] * columns[:, None]


def rounded_targets(points: jax.Array, size: tuple[int, int], sigma: float) -> jax.Array:
  """The square stamps of `generate_target` in lib/utils/transforms.py, equal bit for bit.

  A stamp ends 3 sigma from its middle. With sigma 1.5 that is half a cell, which has two effects:
  the stamp reaches a cell farther to the left and top, and near these borders it is moved by one
  cell, because its corner is rounded toward zero.

  Args:
    points: `(B, L, 2)` whole cells, also outside of the map.
    size: `(h, w)`.
    sigma: standard deviation in cells.
  """
  (columns, in_columns), (rows, in_rows) = (
    _stamp(points[..., axis], n, sigma) for axis, n in _axes(size)
  )
  squares = rows[:, :, None] ** 2 + columns[:, None] ** 2
  inside = in_rows[:, :, None] & in_columns[:, None]
  # Squared distances are whole, so a table has them all, from the reference's own exponential:
  # NumPy's in float32, which a device's differs from in the last bit.
  far = int(3 * sigma + 1)
  table = np.exp(-np.arange(2 * far**2 + 1, dtype=np.float32) / np.float32(2 * sigma**2))
  values = jnp.take(jnp.asarray(table), squares.astype(jnp.int32), mode="clip")
  return jnp.where(inside, values, 0)


def _axes(size: tuple[int, int]) -> tuple[tuple[int, int], tuple[int, int]]:
  return (0, size[1]), (1, size[0])


def _from(origin: jax.Array, n: int) -> jax.Array:
  """Distance of every cell along an axis from `origin` `(B, L)`: `(B, n, L)`."""
  return jnp.arange(n, dtype=origin.dtype)[:, None] - origin[:, None]


def _stamp(position: jax.Array, n: int, sigma: float) -> tuple[jax.Array, jax.Array]:
  """Distance of every cell to the middle of the stamp, and whether it is in it: `(B, n, L)`."""
  radius = 3 * sigma
  first, end = jnp.trunc(position - radius), jnp.trunc(position + radius + 1)
  middle = first + (2 * radius + 1) // 2
  return _from(middle, n), (_from(first, n) >= 0) & (_from(end, n) < 0)
