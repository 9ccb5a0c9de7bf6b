"""HRNet's backbone: images `(B, H, W, C)` -> four maps at strides 4, 8, 16 and 32."""

import dataclasses

import flax.linen as nn
import jax

from hrnet_jax.errors import UserError
from hrnet_jax.models.blocks import BlockSequence, Bottleneck
from hrnet_jax.models.exchange import Pyramid, Stage, Transition
from hrnet_jax.models.layers import ConvNorm, LayerConfig
from hrnet_jax.ops.resize import Resize

STEM_WIDTH = 64


@dataclasses.dataclass(frozen=True, kw_only=True)
class HRNetConfig:
  """Size of a network, in the terms of the paper's table 1.

  Attributes:
    width: channels C of the finest branch; branch i has C * 2**i.
    modules: exchange modules in stages 2, 3 and 4.
    blocks: residual blocks of each branch between two exchanges.
    bottlenecks: residual blocks of stage 1.
    bottleneck_width: inner channels of these; stage 1 ends with four times as many.
  """

  width: int
  modules: tuple[int, int, int] = (1, 4, 3)
  blocks: int = 4
  bottlenecks: int = 4
  bottleneck_width: int = 64


VARIANTS = {
  "w18_small_v1": HRNetConfig(
    width=16, modules=(1, 1, 1), blocks=2, bottlenecks=1, bottleneck_width=32
  ),
  "w18_small_v2": HRNetConfig(width=18, modules=(1, 3, 2), blocks=2, bottlenecks=2),
} | {f"w{width}": HRNetConfig(width=width) for width in (18, 30, 32, 40, 44, 48, 64)}


@dataclasses.dataclass(frozen=True)
class FeatureInfo:
  """Facts about one output map.

  Attributes:
    channels: of the map.
    stride: pixels of the image between two of its cells, along both axes.
  """

  channels: int
  stride: int


class HRNet(nn.Module):
  """High-resolution network (paper section 3): image -> pyramid.

  `(B, H, W, channels)` -> `(B, ceil(H / s), ceil(W / s), C * s / 4)` for s in 4, 8, 16, 32. Sizes
  need not be multiples of 32. The names of submodules are the format of checkpoints.

  Attributes:
    config: size of the network.
    upsample: interpolation in the exchange units.
    layer_config: see `LayerConfig`.
    outputs: how many maps the last exchange computes; HRNetV1 computes the finest alone.
    channels: of the images.
  """

  config: HRNetConfig
  upsample: Resize
  layer_config: LayerConfig
  outputs: int = 4
  channels: int = 3

  @property
  def features(self) -> tuple[FeatureInfo, ...]:
    """Channels and strides of the maps, finest first."""
    return tuple(FeatureInfo(self.config.width * 2**i, 4 * 2**i) for i in range(self.outputs))

  @nn.compact
  def __call__(self, images: jax.Array, *, train: bool) -> Pyramid:
    if images.ndim != 4 or images.shape[-1] != self.channels:
      raise UserError(
        f"HRNet expects images (B, H, W, {self.channels}), got shape {images.shape}; "
        "config.model.channels says how many channels images have"
      )
    size, cfg = self.config, self.layer_config
    x = images.astype(cfg.dtype)
    for i in (1, 2):
      x = ConvNorm(STEM_WIDTH, cfg, stride=2, name=f"stem_{i}")(x, train=train)
    blocks = tuple(
      Bottleneck(size.bottleneck_width, cfg, name=f"stage1_{k}") for k in range(size.bottlenecks)
    )
    xs: Pyramid = (BlockSequence(blocks, name="stage1")(x, train=train),)
    for stage, modules in enumerate(size.modules, start=2):
      widths = tuple(size.width * 2**i for i in range(stage))
      xs = Transition(widths, cfg, name=f"transition{stage}")(xs, train=train)
      outputs = self.outputs if stage == 4 else None
      part = Stage(modules, size.blocks, self.upsample, cfg, outputs, name=f"stage{stage}")
      xs = part(xs, train=train)
    return xs
