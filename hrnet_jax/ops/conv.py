"""Convolutions in PyTorch's padding: `(B, H, W, C), (k, k, C, K) -> (B, h, w, K)`."""

import functools

import jax

from hrnet_jax.ops.cpu import conv_gradients, onednn


def conv(x: jax.Array, kernel: jax.Array, stride: int = 1) -> jax.Array:
  """Convolution padded by `k // 2` on every side.

  Flax's `SAME` pads even sizes at stride 2 on one side only: another function.

  Args:
    x: `(B, H, W, C)`.
    kernel: `(k, k, C, K)` with odd k, in the dtype of `x`.
    stride: of both axes.

  Returns:
    `(B, ceil(H / stride), ceil(W / stride), K)` in the dtype of `x`.
  """
  return (_by_library if onednn.serves(x, kernel, stride) else _by_xla)(x, kernel, stride)


def conv_bias_relu(
  x: jax.Array,
  kernel: jax.Array,
  bias: jax.Array,
  *,
  stride: int = 1,
  residual: jax.Array | None = None,
  relu: bool = True,
) -> jax.Array:
  """A convolution into which a norm is folded, with what follows it, for inference.

  Args:
    x, kernel, stride: as `conv`.
    bias: `(K,)` in the dtype of `x`.
    residual: of the shape of the result, added before the ReLU; None for none.
    relu: whether there is one.

  Returns:
    `relu(conv(x, kernel) + bias + residual)`.
  """
  plain = functools.partial(_in_steps, stride=stride, relu=relu)
  if onednn.serves(x, kernel, stride):
    return onednn.fused_conv(plain, stride, relu, x, kernel, bias, residual)
  return plain(x, kernel, bias, residual)


def add_relu(y: jax.Array, residual: jax.Array | None, relu: bool) -> jax.Array:
  """`relu(residual + y)`, without what is not asked for."""
  y = y if residual is None else residual + y
  return jax.nn.relu(y) if relu else y


def _in_steps(
  x: jax.Array,
  kernel: jax.Array,
  bias: jax.Array,
  residual: jax.Array | None,
  *,
  stride: int,
  relu: bool,
) -> jax.Array:
  return add_relu(_by_xla(x, kernel, stride) + bias, residual, relu)


# Both are traced once for each shape; operations belong to the line that calls them, for profiles.
@functools.partial(jax.jit, static_argnums=2, inline=True)
def _by_library(x: jax.Array, kernel: jax.Array, stride: int) -> jax.Array:
  return onednn.conv(_by_xla, x, kernel, stride)


@functools.partial(jax.jit, static_argnums=2, inline=True)
def _by_xla(x: jax.Array, kernel: jax.Array, stride: int) -> jax.Array:
  if kernel.shape[:2] == (1, 1) and stride == 1:
    return conv_gradients.pointwise(x, kernel[0, 0])
  if kernel.shape[:2] == (3, 3) and stride in (1, 2):
    return conv_gradients.conv3x3(_conv, x, kernel, stride)
  return _conv(x, kernel, stride)


def _conv(x: jax.Array, kernel: jax.Array, stride: int) -> jax.Array:
  pad = kernel.shape[0] // 2
  return jax.lax.conv_general_dilated(
    x, kernel, (stride, stride), [(pad, pad)] * 2, dimension_numbers=("NHWC", "HWIO", "NHWC")
  )
