"""Convolutions in PyTorch's padding: `(B, H, W, C), (k, k, C, K) -> (B, h, w, K)`."""

import functools

import jax
import jax.numpy as jnp

_LAYOUT = ("NHWC", "HWIO", "NHWC")


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
  if kernel.shape[:2] == (1, 1) and stride == 1:
    # The same product; XLA's CPU convolution is about four times slower at it.
    return jnp.einsum("bhwc,cd->bhwd", x, kernel[0, 0])
  if kernel.shape[:2] == (3, 3) and stride == 2:
    return _conv3x3_stride2(x, kernel)
  return _conv(x, kernel, stride)


def _conv(x: jax.Array, kernel: jax.Array, stride: int) -> jax.Array:
  pad = kernel.shape[0] // 2
  return jax.lax.conv_general_dilated(
    x, kernel, (stride, stride), [(pad, pad)] * 2, dimension_numbers=_LAYOUT
  )


@jax.custom_vjp
def _conv3x3_stride2(x: jax.Array, kernel: jax.Array) -> jax.Array:
  return _conv(x, kernel, 2)


def _forward(x: jax.Array, kernel: jax.Array) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
  return _conv(x, kernel, 2), (x, kernel)


def _backward(residuals: tuple[jax.Array, jax.Array], dy: jax.Array) -> tuple[jax.Array, jax.Array]:
  x, kernel = residuals
  dkernel = jax.linear_transpose(lambda k: _conv(x, k, 2), kernel)(dy)[0]
  # XLA's CPU backend runs the dilated convolution of the plain transpose on one core, over
  # three quarters zeros. Other backends have kernels for it and keep it.
  dx = jax.lax.platform_dependent(
    dy,
    kernel,
    cpu=functools.partial(_input_gradient_by_phase, size=x.shape[1:3]),
    default=lambda dy, kernel: jax.linear_transpose(lambda x: _conv(x, kernel, 2), x)(dy)[0],
  )
  return dx, dkernel


_conv3x3_stride2.defvjp(_forward, _backward)


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
