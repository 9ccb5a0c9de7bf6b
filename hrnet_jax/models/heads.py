"""Heads that several tasks share: `(B, h, w, C)` -> scores, float32 in a bfloat16 network.

A head that says `begins_pointwise` takes maps that are not concatenated yet as well.
"""

import flax.linen as nn
import jax

from hrnet_jax.models.layers import Conv, ConvNorm, LayerConfig
from hrnet_jax.ops.sum_maps import Concatenation


class PixelHead(nn.Module):
  """Mixes channels, then scores: `(B, h, w, C) -> (B, h, w, num_outputs)`.

  The mixing convolution has a bias although a norm follows. Source: `last_layer` of
  lib/models/seg_hrnet.py and `head` of lib/models/hrnet.py.
  """

  num_outputs: int
  layer_config: LayerConfig
  begins_pointwise = True

  @nn.compact
  def __call__(self, x: jax.Array | Concatenation, *, train: bool) -> jax.Array:
    x = ConvNorm(x.shape[-1], self.layer_config, kernel=1, use_bias=True, name="mix")(
      x, train=train
    )
    return Conv(self.num_outputs, 1, self.layer_config.wide, use_bias=True, name="classify")(x)


class LinearHead(nn.Module):
  """One 1x1 convolution: `(B, h, w, C) -> (B, h, w, num_outputs)`.

  Source: `final_layer` of the HRNetV1 reference.
  """

  num_outputs: int
  layer_config: LayerConfig
  begins_pointwise = True

  @nn.compact
  def __call__(self, x: jax.Array | Concatenation, *, train: bool) -> jax.Array:
    del train
    return Conv(self.num_outputs, 1, self.layer_config.wide, use_bias=True, name="classify")(x)
