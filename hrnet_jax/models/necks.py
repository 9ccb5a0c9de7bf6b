"""Necks: the four maps of `HRNet` -> one map, or a feature pyramid, for a head.

All take the maps of `HRNet` and a `train` flag, so that one can stand in for another.
"""

import dataclasses

import flax.linen as nn
import jax

from hrnet_jax.models.exchange import Pyramid
from hrnet_jax.models.layers import Conv, LayerConfig
from hrnet_jax.ops.pool import average_pool
from hrnet_jax.ops.resize import Resize
from hrnet_jax.ops.sum_maps import Concatenation


class HRNetV1(nn.Module):
  """HRNetV1 (paper, figure 4a): the finest map alone, `(B, H / 4, W / 4, C)`."""

  def __call__(self, xs: Pyramid, *, train: bool) -> jax.Array:
    del train  # nothing here learns; the argument makes necks interchangeable
    return xs[0]


class HRNetV1h(nn.Module):
  """HRNetV1 with as many channels as HRNetV2, the paper's control: `(B, H / 4, W / 4, 15 * C)`.

  A 1x1 convolution with bias, without norm, so that what HRNetV2 gains is not due to its width.
  """

  layer_config: LayerConfig

  @nn.compact
  def __call__(self, xs: Pyramid, *, train: bool) -> jax.Array:
    del train
    return Conv(15 * xs[0].shape[-1], 1, self.layer_config, use_bias=True, name="widen")(xs[0])


class HRNetV2(nn.Module):
  """HRNetV2 (paper, figure 4b): all maps on the finest grid, `(B, H / 4, W / 4, 15 * C)`."""

  upsample: Resize

  def __call__(self, xs: Pyramid, *, train: bool) -> jax.Array:
    return self.separate(xs, train=train).array()

  def separate(self, xs: Pyramid, *, train: bool) -> Concatenation:
    """The maps before they are one, of which a 1x1 convolution makes less."""
    del train
    return Concatenation(tuple(xs), self.upsample)


class HRNetV2p(nn.Module):
  """HRNetV2p (paper, figure 4c): five levels of `width` channels at strides 4 to 64.

  HRNetV2 with half-pixel bilinear enlargement, whatever the backbone does; a 1x1 reduction; average
  pooling by 1, 2, 4, 8 and 16 of the reduced map, which drops what does not fill a window; and a
  3x3 convolution for each level. All convolutions have a bias and no norm. Source:
  mmdet/models/necks/hrfpn.py.
  """

  layer_config: LayerConfig
  width: int = 256
  levels: int = 5

  @nn.compact
  def __call__(self, xs: Pyramid, *, train: bool) -> Pyramid:
    cfg = dataclasses.replace(self.layer_config, init="lecun")
    x = HRNetV2(Resize.BILINEAR, name="concatenate").separate(xs, train=train)
    x = Conv(self.width, 1, cfg, use_bias=True, name="reduce")(x)
    pooled = [x]
    while len(pooled) < self.levels:
      pooled.append(average_pool(pooled[-1]))
    return tuple(
      Conv(self.width, 3, cfg, use_bias=True, name=f"level_{i}")(y) for i, y in enumerate(pooled)
    )
