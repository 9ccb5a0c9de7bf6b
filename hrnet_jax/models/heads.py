"""Task heads on a representation: `(B, h, w, C)` -> task outputs, float32 in a bfloat16 network."""

import flax.linen as nn
import jax

from hrnet_jax.models.layers import Conv, ConvNorm, Numerics, uniform_fan_in


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


class PooledHead(nn.Module):
  """Average over space and a linear layer: `(B, h, w, C) -> (B, num_outputs)`.

  Source: `classifier` of lib/models/cls_hrnet.py.
  """

  num_outputs: int
  numerics: Numerics

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
    del train
    dtype, channels = self.numerics.param_dtype, x.shape[-1]
    init = uniform_fan_in(channels)
    kernel = self.param("kernel", init, (channels, self.num_outputs), dtype)
    bias = self.param("bias", init, (self.num_outputs,), dtype)
    return x.astype(dtype).mean((1, 2)) @ kernel + bias
