"""Task heads on a representation: `(B, h, w, C)` -> task outputs."""

import dataclasses

import flax.linen as nn
import jax

from hrnet_jax.models.layers import Conv, ConvNorm, Numerics


class PixelHead(nn.Module):
  """Mixes channels, then scores classes: `(B, h, w, C) -> (B, h, w, num_outputs)`.

  Logits are float32 whatever the trunk computes in. Source: `last_layer` of
  lib/models/seg_hrnet.py; the mixing convolution has a bias although a norm follows.
  """

  num_outputs: int
  numerics: Numerics

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
    x = ConvNorm(x.shape[-1], self.numerics, kernel=1, use_bias=True, name="mix")(x, train=train)
    wide = dataclasses.replace(self.numerics, dtype=self.numerics.param_dtype)
    return Conv(self.num_outputs, 1, wide, use_bias=True, name="classify")(x)
