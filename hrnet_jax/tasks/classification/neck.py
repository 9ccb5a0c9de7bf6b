"""Neck of the ImageNet networks: pyramid -> `(B, H / 32, W / 32, 2048)`."""

import flax.linen as nn
import jax

from hrnet_jax.models.blocks import Bottleneck
from hrnet_jax.models.exchange import Pyramid
from hrnet_jax.models.layers import ConvNorm, LayerConfig


class ImageNetNeck(nn.Module):
  """The ImageNet networks' funnel (paper, appendix A): `(B, H / 32, W / 32, 2048)`.

  Each map is widened by a bottleneck to 128, 256, 512 and 1024 channels (`increase_i`); from
  the finest on, a strided convolution (`down_i`) brings the sum so far to the next grid; a 1x1
  convolution ends with 2048. Source: `incre_modules`, `downsamp_modules` and `final_layer` of
  lib/models/cls_hrnet.py; the convolutions before the latter two norms have a bias.
  """

  layer_config: LayerConfig

  @nn.compact
  def __call__(self, xs: Pyramid, *, train: bool) -> jax.Array:
    cfg = self.layer_config
    wide = [
      Bottleneck(32 * 2**i, cfg, name=f"increase_{i}")(x, train=train) for i, x in enumerate(xs)
    ]
    y = wide[0]
    for i, x in enumerate(wide[1:]):
      down = ConvNorm(x.shape[-1], cfg, stride=2, use_bias=True, name=f"down_{i}")
      y = x + down(y, train=train)
    return ConvNorm(2048, cfg, kernel=1, use_bias=True, name="final")(y, train=train)
