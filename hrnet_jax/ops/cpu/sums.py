"""Sums of maps of several resolutions in one pass over the result, by the library of `native/`.

XLA's programs for CPUs write every enlarged map to memory, axis after axis, before the sum.
"""

from collections.abc import Callable, Sequence
import functools

import jax
import jax.numpy as jnp
import numpy as np

from hrnet_jax.ops import resize
from hrnet_jax.ops.cpu import onednn

Size = tuple[int, int]
Shapes = tuple[tuple[int, ...], ...]


def serves(maps: Sequence[jax.Array], size: Size) -> bool:
  """Whether `sum_maps` can be called with arrays of these shapes and dtypes, and is of use."""
  if any(x.dtype != jnp.float32 for x in maps) or not onednn.serves_here(maps[0].dtype):
    return False
  return all(x.size for x in maps) and any(x.shape[1:3] != size for x in maps)


def sum_maps(
  plain: Callable[..., jax.Array], size: Size, method: resize.Resize, relu: bool, *maps: jax.Array
) -> jax.Array:
  """`plain(*maps)`, by the library where a CPU computes it.

  Args:
    plain: the sum of resized maps, for other platforms.
    size: `(H, W)` of the result.
    method: how maps of other sizes are resized.
    relu: whether a ReLU follows.
    *maps: each `(B, h, w, C)`, float32.

  Returns:
    `(B, H, W, C)`.
  """
  # The gradient takes the shapes of the maps, of which none need be kept for it.
  return _sum_of_shapes(plain, size, method, relu, tuple(x.shape for x in maps), *maps)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 1, 2, 3, 4))
def _sum_of_shapes(
  plain: Callable[..., jax.Array],
  size: Size,
  method: resize.Resize,
  relu: bool,
  shapes: Shapes,
  *maps: jax.Array,
) -> jax.Array:
  del shapes
  here = functools.partial(_sum, size=size, method=method, relu=relu)
  return jax.lax.platform_dependent(*maps, cpu=here, default=plain)


def _sum_forward(
  plain: Callable[..., jax.Array],
  size: Size,
  method: resize.Resize,
  relu: bool,
  shapes: Shapes,
  *maps: jax.Array,
) -> tuple[jax.Array, jax.Array | None]:
  y = _sum_of_shapes(plain, size, method, relu, shapes, *maps)
  return y, y if relu else None


def _sum_backward(
  plain: Callable[..., jax.Array],
  size: Size,
  method: resize.Resize,
  relu: bool,
  shapes: Shapes,
  y: jax.Array | None,
  dy: jax.Array,
) -> tuple[jax.Array, ...]:
  del plain, relu
  dy = dy if y is None else jnp.where(y > 0, dy, 0)

  def here(dy: jax.Array) -> tuple[jax.Array, ...]:
    return tuple(_gradient(dy, shape, method) for shape in shapes)

  def elsewhere(dy: jax.Array) -> tuple[jax.Array, ...]:
    # Resizing is linear, so its gradient is the same at every map.
    maps = (jnp.zeros(shape, dy.dtype) for shape in shapes)
    return tuple(jax.vjp(lambda x: resize.resize(x, size, method), x)[1](dy)[0] for x in maps)

  return jax.lax.platform_dependent(dy, cpu=here, default=elsewhere)


_sum_of_shapes.defvjp(_sum_forward, _sum_backward)


def _sum(*maps: jax.Array, size: Size, method: resize.Resize, relu: bool) -> jax.Array:
  coarser = [x.shape[1:3] != size for x in maps]
  operands = [
    operand
    for x, resized in zip(maps, coarser, strict=True)
    for operand in (x, *(_positions(x.shape[1:3], size, method) if resized else ()))
  ]
  batch, channels = maps[0].shape[0], maps[0].shape[-1]
  result = jax.ShapeDtypeStruct((batch, *size, channels), maps[0].dtype)
  call = jax.ffi.ffi_call(onednn.SUM, result)
  return call(*operands, coarser=np.array(coarser, np.int64), relu=relu)


def _gradient(dy: jax.Array, shape: tuple[int, ...], method: resize.Resize) -> jax.Array:
  """Gradient of a map of this shape that was resized to where `dy` is."""
  if shape == dy.shape:
    return dy
  call = jax.ffi.ffi_call(onednn.ENLARGEMENT_GRADIENT, jax.ShapeDtypeStruct(shape, dy.dtype))
  return call(dy, *_positions(shape[1:3], dy.shape[1:3], method))


def _positions(source: Size, target: Size, method: resize.Resize) -> list[np.ndarray]:
  """Lower and upper index and the weight of the upper one, of rows and of columns."""
  found = []
  for n_in, n_out in zip(source, target, strict=True):
    low, high, weight = resize.taps(n_in, n_out, method)
    found += [low, high, weight.astype(np.float32)]
  return found
