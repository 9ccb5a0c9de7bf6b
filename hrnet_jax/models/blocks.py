"""Residual blocks, the only place that knows a shortcut: `(B, H, W, C) -> (B, H, W, K)`."""

import flax.linen as nn
import jax

from hrnet_jax.models.layers import ConvNorm, Numerics


class BasicBlock(nn.Module):
  """Two 3x3 convolutions and the identity: `(B, H, W, C) -> (B, H, W, C)`."""

  numerics: Numerics

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
    width = x.shape[-1]
    y = ConvNorm(width, self.numerics, name="conv1")(x, train=train)
    y = ConvNorm(width, self.numerics, relu=False, name="conv2")(y, train=train)
    return nn.relu(x + y)


class Bottleneck(nn.Module):
  """1x1, 3x3 and 1x1 convolutions and a shortcut: `(B, H, W, C) -> (B, H, W, 4 * width)`."""

  width: int
  numerics: Numerics

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
    n, out = self.numerics, 4 * self.width
    y = ConvNorm(self.width, n, kernel=1, name="conv1")(x, train=train)
    y = ConvNorm(self.width, n, name="conv2")(y, train=train)
    y = ConvNorm(out, n, kernel=1, relu=False, name="conv3")(y, train=train)
    if x.shape[-1] != out:
      x = ConvNorm(out, n, kernel=1, relu=False, name="shortcut")(x, train=train)
    return nn.relu(x + y)
