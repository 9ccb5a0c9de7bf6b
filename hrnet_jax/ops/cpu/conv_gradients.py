"""Gradients of convolutions by ways that are fast on CPUs: `x, kernel, dy -> dx, dkernel`.

Other backends than XLA's CPU have kernels for the plain transposes of 3x3 convolutions and keep
them. All convolutions here have the layout `_LAYOUT`: outside of loops XLA brings others into it,
but in the body of a loop it computes them one product at a time, about ten times slower.
"""

from collections.abc import Callable
import functools

import jax
import jax.numpy as jnp

_LAYOUT = ("NHWC", "HWIO", "NHWC")
Conv = Callable[[jax.Array, jax.Array, int], jax.Array]


@jax.custom_vjp
def pointwise(x: jax.Array, kernel: jax.Array) -> jax.Array:
  """A 1x1 convolution as a product; XLA's CPU convolution is about four times slower at it.

  Args:
    x: `(B, H, W, C)`.
    kernel: `(C, K)`.

  Returns:
    `(B, H, W, K)`.
  """
  return jnp.einsum("bhwc,ck->bhwk", x, kernel)


def _pointwise_forward(x: jax.Array, kernel: jax.Array) -> tuple:
  return pointwise(x, kernel), (x, kernel)


def _pointwise_backward(residuals: tuple, dy: jax.Array) -> tuple[jax.Array, jax.Array]:
  x, kernel = residuals
  # Differentiation takes the other order of the factors, which can be four times slower on a CPU.
  return jnp.einsum("bhwk,ck->bhwc", dy, kernel), _outer(x, dy)


pointwise.defvjp(_pointwise_forward, _pointwise_backward)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 3))
def conv3x3(conv: Conv, x: jax.Array, kernel: jax.Array, stride: int) -> jax.Array:
  """`conv(x, kernel, stride)` with gradients by the ways of this file where a CPU computes them.

  Args:
    conv: a convolution padded by 1, as `ops.conv` defines it.
    x: `(B, H, W, C)`.
    kernel: `(3, 3, C, K)`.
    stride: 1 or 2.
  """
  return conv(x, kernel, stride)


def _forward(
  conv: Conv, x: jax.Array, kernel: jax.Array, stride: int
) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
  return conv(x, kernel, stride), (x, kernel)


def _backward(
  conv: Conv, stride: int, residuals: tuple[jax.Array, jax.Array], dy: jax.Array
) -> tuple[jax.Array, jax.Array]:
  x, kernel = residuals

  def plain_dx(x: jax.Array, dy: jax.Array, kernel: jax.Array) -> jax.Array:
    return jax.linear_transpose(lambda x: conv(x, kernel, stride), x)(dy)[0]

  def plain_dkernel(x: jax.Array, dy: jax.Array) -> jax.Array:
    return jax.linear_transpose(lambda k: conv(x, k, stride), kernel)(dy)[0]

  def fast_dx(x: jax.Array, dy: jax.Array, kernel: jax.Array) -> jax.Array:
    if stride == 2:
      return _input_gradient_by_phase(dy, kernel, x.shape[1:3])
    return conv(dy, kernel[::-1, ::-1].swapaxes(2, 3), 1)

  fast_dkernel = _kernel_gradient(x.shape[-1], dy.shape[-1], stride)
  dx = jax.lax.platform_dependent(x, dy, kernel, cpu=fast_dx, default=plain_dx)
  dkernel = jax.lax.platform_dependent(x, dy, cpu=fast_dkernel, default=plain_dkernel)
  return dx, dkernel


conv3x3.defvjp(_forward, _backward)


def _kernel_gradient(inputs: int, outputs: int, stride: int) -> Callable:
  """The function `(x, dy) -> dkernel` that is fastest on a CPU.

  XLA's CPU backend computes it as a convolution with a window as large as the map, which is slow
  unless it has 32 or 64 outputs. Measured on two cores with AVX-512, maps of 12x15 to 256x512.
  """
  # Columns are few where the channels are, or the positions a quarter of the map.
  if inputs < 16 or (stride == 2 and inputs <= 64 and outputs <= 72):
    return functools.partial(_by_columns, stride=stride)
  if stride == 2:
    return _by_taps_of_input
  if inputs >= 4 * outputs:
    return _by_rows
  if outputs in (32, 64):
    return _by_convolution
  return _by_rows if outputs < 48 else _by_taps


def _by_convolution(x: jax.Array, dy: jax.Array) -> jax.Array:
  """Channels of the input are the batch, and the batch the channels; the window is a map."""
  y = jax.lax.conv_general_dilated(
    x.transpose(3, 1, 2, 0),
    dy.transpose(1, 2, 0, 3),
    (1, 1),
    [(1, 1)] * 2,
    dimension_numbers=_LAYOUT,
  )
  return y.transpose(1, 2, 0, 3)


def _by_columns(x: jax.Array, dy: jax.Array, *, stride: int) -> jax.Array:
  """One product with the nine inputs of every output side by side."""
  columns = jnp.concatenate([tap for row in _taps(x, dy.shape, stride) for tap in row], -1)
  return _outer(columns, dy).reshape(3, 3, x.shape[-1], dy.shape[-1])


def _by_taps_of_input(x: jax.Array, dy: jax.Array) -> jax.Array:
  """A product for each tap of a convolution with stride 2."""
  rows = _taps(x, dy.shape, 2)
  return jnp.stack([jnp.stack([_outer(tap, dy) for tap in row]) for row in rows])


def _by_taps(x: jax.Array, dy: jax.Array) -> jax.Array:
  """A product for each tap: input p meets output p + 1 - i through tap i."""
  rows = _taps(dy, x.shape, 1)[::-1]
  return jnp.stack([jnp.stack([_outer(x, tap) for tap in row[::-1]]) for row in rows])


def _by_rows(x: jax.Array, dy: jax.Array) -> jax.Array:
  """A product for each row of taps, with the outputs of its three taps side by side."""
  padded, (_, h, w, c) = _pad(dy), x.shape
  columns = jnp.concatenate([padded[:, :, 2 - j : 2 - j + w] for j in range(3)], -1)
  rows = [_outer(x, columns[:, 2 - i : 2 - i + h]).reshape(c, 3, -1) for i in range(3)]
  return jnp.stack(rows).transpose(0, 2, 1, 3)


def _taps(x: jax.Array, shape: tuple[int, ...], stride: int) -> list[list[jax.Array]]:
  """The inputs of each tap of a 3x3 window, for every position of `shape`."""
  padded = _pad(x)
  h, w = ((n - 1) * stride + 1 for n in shape[1:3])
  return [[padded[:, i : i + h : stride, j : j + w : stride] for j in range(3)] for i in range(3)]


def _pad(x: jax.Array) -> jax.Array:
  return jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))


def _outer(x: jax.Array, y: jax.Array) -> jax.Array:
  """Sum over all positions of the products of channels, `(C, K)`."""
  return jnp.einsum("bhwc,bhwk->ck", x, y)


def _input_gradient_by_phase(dy: jax.Array, kernel: jax.Array, size: tuple[int, int]) -> jax.Array:
  """Transposed 3x3 stride-2 convolution as one 2x2 convolution and a pixel shuffle.

  Output i reads inputs 2i - 1, 2i and 2i + 1 through taps 0, 1 and 2. So input 2i receives
  tap 1 of output i, and input 2i + 1 receives tap 2 of output i and tap 0 of output i + 1.
  """
  zero = jnp.zeros_like(kernel[0])
  rows = jnp.stack([jnp.stack([kernel[1], zero]), jnp.stack([kernel[2], kernel[0]])])
  zero = jnp.zeros_like(rows[:, :, 0])
  # phases[row phase, column phase, row tap, column tap, C, K]
  phases = jnp.stack(
    [
      jnp.stack([rows[:, :, 1], zero], axis=2),
      jnp.stack([rows[:, :, 2], rows[:, :, 0]], axis=2),
    ],
    axis=1,
  )
  *_, channels, features = phases.shape
  weight = phases.transpose(2, 3, 5, 0, 1, 4).reshape(2, 2, features, 4 * channels)
  y = jax.lax.conv_general_dilated(dy, weight, (1, 1), [(0, 1)] * 2, dimension_numbers=_LAYOUT)
  b, h, w, _ = dy.shape
  y = y.reshape(b, h, w, 2, 2, channels).transpose(0, 1, 3, 2, 4, 5)
  return y.reshape(b, 2 * h, 2 * w, channels)[:, : size[0], : size[1]]
