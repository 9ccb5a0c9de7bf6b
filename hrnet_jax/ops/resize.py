"""Image resampling in the conventions of the HRNet checkpoints: `(B, h, w, C) -> (B, H, W, C)`."""

import enum
import functools
from typing import Any

import jax
from jax import export
import jax.numpy as jnp
import numpy as np


class Resize(enum.StrEnum):
  """Interpolation of a feature map on another grid.

  `NEAREST` repeats pixels (ImageNet and COCO checkpoints). `BILINEAR` has half-pixel
  centres (PyTorch's `align_corners=False`: most checkpoints of dense tasks).
  `BILINEAR_ALIGNED` pins the corners (`align_corners=True`: the OCR models). A wrong
  choice raises nothing and costs accuracy, so it is a property of each checkpoint.
  """

  NEAREST = "nearest"
  BILINEAR = "bilinear"
  BILINEAR_ALIGNED = "bilinear_aligned"

  @property
  def for_outputs(self) -> "Resize":
    """The interpolation of the outputs of a network that has this one inside: never `NEAREST`."""
    return Resize.BILINEAR if self is Resize.NEAREST else self


def resize(x: jax.Array, size: tuple[int, int], method: Resize | str) -> jax.Array:
  """Resamples `x` onto a grid of `size`, without antialiasing, as PyTorch's `interpolate`.

  Args:
    x: `(B, H, W, C)` floating point.
    size: target `(H', W')`.
    method: see `Resize`.

  Returns:
    `(B, H', W', C)` in the dtype of `x`; weights and sums are at least float32.

  Raises:
    ValueError: `x` is not of rank 4, or `method` is unknown.
  """
  if x.ndim != 4:
    raise ValueError(f"resize expects (B, H, W, C), got shape {x.shape}")
  return _resized(x, tuple(size), Resize(method))


# Traced once for each shape; operations belong to the line that calls it, for profiles.
@functools.partial(jax.jit, static_argnums=(1, 2), inline=True)
def _resized(x: jax.Array, size: tuple[int, int], method: Resize) -> jax.Array:
  y = x if method is Resize.NEAREST else x.astype(jnp.promote_types(x.dtype, jnp.float32))
  for axis in (1, 2):
    y = _resize_axis(y, axis, size[axis - 1], method)
  return y.astype(x.dtype)


def _resize_axis(x: jax.Array, axis: int, n_out: int, method: Resize) -> jax.Array:
  n_in = x.shape[axis]
  if n_in == n_out:
    return x
  if n_out % n_in == 0 and method is Resize.NEAREST:
    return jnp.repeat(x, n_out // n_in, axis=axis)
  if n_out % n_in == 0 and method is Resize.BILINEAR:
    return _enlarge(x, axis, n_out // n_in)
  if method is Resize.NEAREST:
    return jnp.take(x, taps(n_in, n_out, method)[0], axis=axis)
  return _interpolate(x, axis, n_out, method)


def _enlarge(x: jax.Array, axis: int, factor: int) -> jax.Array:
  """Half-pixel bilinear enlargement by a whole factor.

  Output `factor * i + p` mixes two neighbours of `i` with weights that depend on the
  phase `p` alone, so slices and sums suffice: no gather, and no scatter in the gradient.
  """
  n = x.shape[axis]
  # `jnp.pad` would pad the other axes as well, by nothing, but in the gradient every device then
  # sends an example of the batch to its neighbours.
  first, last = (jax.lax.slice_in_dim(x, k, k + 1, axis=axis) for k in (0, n - 1))
  padded = jnp.concatenate([first, x, last], axis=axis)
  before, after = (jax.lax.slice_in_dim(padded, k, k + n, axis=axis) for k in (0, 2))
  phases = []
  for p in range(factor):
    shift = (p + 0.5) / factor - 0.5
    other = before if shift < 0 else after
    phases.append(x * (1 - abs(shift)) + other * abs(shift))
  y = jnp.stack(phases, axis=axis + 1)
  return y.reshape(*x.shape[:axis], n * factor, *x.shape[axis + 1 :])


@functools.cache
def taps(n_in: int, n_out: int, method: Resize) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  """Lower and upper source index and the weight of the upper one, for each output, `(n_out,)`.

  Args:
    n_in: pixels of the source.
    n_out: pixels of the target.
    method: with `NEAREST`, weights are zero.
  """
  if method is Resize.NEAREST:
    nearest = (np.arange(n_out) * n_in // n_out).astype(np.int32)
    return nearest, nearest, np.zeros(n_out)
  out = np.arange(n_out, dtype=np.float64)
  if method is Resize.BILINEAR:
    source = np.maximum((out + 0.5) * (n_in / n_out) - 0.5, 0)
  else:
    source = out * ((n_in - 1) / max(n_out - 1, 1))
  # 32 bits whatever the precision of the run, so that one compiled gather serves all.
  low = np.minimum(np.floor(source).astype(np.int32), np.int32(n_in - 1))
  return low, np.minimum(low + 1, np.int32(n_in - 1)), source - low


def _symbolic_taps(n_in: Any, n_out: Any, method: Resize) -> tuple[jax.Array, jax.Array, jax.Array]:
  """`taps` for sizes that only the call of an exported program will tell.

  Positions are quotients of whole numbers, so nothing is lost without float64.
  """
  out = jnp.arange(n_out, dtype=jnp.int32)
  if method is Resize.BILINEAR:
    above, below = jnp.maximum((2 * out + 1) * n_in - n_out, 0), 2 * n_out
  else:
    above, below = out * (n_in - 1), jnp.maximum(n_out - 1, 1)
  low = jnp.minimum(above // below, n_in - 1)
  return low, jnp.minimum(low + 1, n_in - 1), (above - low * below) / below


@functools.cache
def _matrix(n_in: int, n_out: int, method: Resize) -> np.ndarray:
  """The interpolation of one axis as a dense `(n_out, n_in)` matrix."""
  low, high, weight = taps(n_in, n_out, method)
  matrix = np.zeros((n_out, n_in))
  np.add.at(matrix, (np.arange(n_out), low), 1 - weight)
  np.add.at(matrix, (np.arange(n_out), high), weight)
  return matrix


@functools.partial(jax.custom_vjp, nondiff_argnums=(1, 2, 3))
def _interpolate(x: jax.Array, axis: int, n_out: int, method: Resize) -> jax.Array:
  """Linear interpolation of one axis at any ratio: two gathers forward.

  The gradient is a product with the transposed matrix, because the transpose of a
  gather is a scatter, several times slower on every backend.
  """
  n_in = x.shape[axis]
  symbolic = export.is_symbolic_dim(n_in) or export.is_symbolic_dim(n_out)
  low, high, weight = (_symbolic_taps if symbolic else taps)(n_in, n_out, method)
  shape = [1] * x.ndim
  shape[axis] = n_out
  weight = jnp.asarray(weight.reshape(shape), x.dtype)
  return jnp.take(x, low, axis=axis) * (1 - weight) + jnp.take(x, high, axis=axis) * weight


def _interpolate_forward(
  x: jax.Array, axis: int, n_out: int, method: Resize
) -> tuple[jax.Array, tuple[int]]:
  return _interpolate(x, axis, n_out, method), (x.shape[axis],)


def _interpolate_backward(
  axis: int, n_out: int, method: Resize, residuals: tuple[int], dy: jax.Array
) -> tuple[jax.Array]:
  matrix = jnp.asarray(_matrix(residuals[0], n_out, method), dy.dtype)
  dx = jnp.tensordot(dy, matrix, axes=(axis, 0), precision=jax.lax.Precision.HIGHEST)
  return (jnp.moveaxis(dx, -1, axis),)


_interpolate.defvjp(_interpolate_forward, _interpolate_backward)
