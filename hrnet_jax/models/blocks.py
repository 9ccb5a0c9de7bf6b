"""Residual blocks, the only place that knows a shortcut: `(B, H, W, C) -> (B, H, W, K)`."""

import flax.linen as nn
import jax

from hrnet_jax.models.layers import ConvNorm, LayerConfig


class BasicBlock(nn.Module):
  """Two 3x3 convolutions and the identity: `(B, H, W, C) -> (B, H, W, C)`."""

  layer_config: LayerConfig

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
    width = x.shape[-1]
    y = ConvNorm(width, self.layer_config, name="conv1")(x, train=train)
    return ConvNorm(width, self.layer_config, name="conv2")(y, train=train, residual=x)


class Bottleneck(nn.Module):
  """1x1, 3x3 and 1x1 convolutions and a shortcut: `(B, H, W, C) -> (B, H, W, 4 * width)`."""

  width: int
  layer_config: LayerConfig

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
    cfg, out = self.layer_config, 4 * self.width
    y = ConvNorm(self.width, cfg, kernel=1, name="conv1")(x, train=train)
    y = ConvNorm(self.width, cfg, name="conv2")(y, train=train)
    if x.shape[-1] != out:
      x = ConvNorm(out, cfg, kernel=1, relu=False, name="shortcut")(x, train=train)
    return ConvNorm(out, cfg, kernel=1, name="conv3")(y, train=train, residual=x)


class BlockSequence(nn.Module):
  """Residual blocks one after the other: `(B, H, W, C) -> (B, H, W, K)`.

  Has no variables: each block keeps the owner and the name that it was made with.
  """

  blocks: tuple[nn.Module, ...]

  def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
    for block in self.blocks:
      x = block(x, train=train)
    return x
