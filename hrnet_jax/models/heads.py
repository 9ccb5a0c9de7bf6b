"""Task heads on a representation: `(B, h, w, C)` -> task outputs, float32 in a bfloat16 network."""

import flax.linen as nn
import jax

from hrnet_jax.models.layers import Conv, ConvNorm, Numerics


class PixelHead(nn.Module):
  """Mixes channels, then scores: `(B, h, w, C) -> (B, h, w, num_outputs)`.

  Source: `last_layer` of lib/models/seg_hrnet.py (segmentation) and `head` of
  lib/models/hrnet.py (landmarks); the mixing convolution has a bias although a norm follows.
  """

  num_outputs: int
  numerics: Numerics

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
    x = ConvNorm(x.shape[-1], self.numerics, kernel=1, use_bias=True, name="mix")(x, train=train)
    return Conv(self.num_outputs, 1, self.numerics.wide, use_bias=True, name="classify")(x)


class LinearHead(nn.Module):
  """One 1x1 convolution: `(B, h, w, C) -> (B, h, w, num_outputs)`.

  Source: `final_layer` of lib/models/pose_hrnet.py.
  """

  num_outputs: int
  numerics: Numerics

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
    del train
    return Conv(self.num_outputs, 1, self.numerics.wide, use_bias=True, name="classify")(x)
