"""Group normalisation (Wu and He, 2018): `(B, H, W, C)` -> the same."""

import math

import jax
import jax.numpy as jnp

MAX_GROUPS = 32  # the paper's choice, and that of the libraries that followed


def num_groups(channels: int) -> int:
  """The greatest common divisor of `channels` and `MAX_GROUPS`.

  Widths of HRNet need not be multiples of 32: W18 has 18, 36, 72 and 144 channels, which makes 2,
  4, 8 and 16 groups of 9; W32 has 32 groups everywhere.
  """
  return math.gcd(channels, MAX_GROUPS)


def group_norm(x: jax.Array, scale: jax.Array, bias: jax.Array, epsilon: float) -> jax.Array:
  """Normalises each example by the statistics of its groups of neighbouring channels.

  Args:
    x: `(B, H, W, C)`.
    scale: `(C,)`, in the dtype that statistics are computed in.
    bias: `(C,)`.
    epsilon: added to the variance.

  Returns:
    `(B, H, W, C)` in the dtype of `x`.
  """
  batch, height, width, channels = x.shape
  groups = num_groups(channels)
  wide = x.astype(scale.dtype).reshape(batch, height, width, groups, channels // groups)
  centred = wide - wide.mean((1, 2, 4), keepdims=True)
  variance = jnp.square(centred).mean((1, 2, 4), keepdims=True)
  y = (centred * jax.lax.rsqrt(variance + epsilon)).reshape(x.shape)
  return (y * scale + bias).astype(x.dtype)
