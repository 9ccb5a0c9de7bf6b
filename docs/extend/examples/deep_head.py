"""A head of one's own: two 3x3 convolutions before the scores, and a task that has it."""

import dataclasses
from typing import Any

import flax.linen as nn
import jax

from hrnet_jax.models.layers import Conv, ConvNorm, LayerConfig
from hrnet_jax.models.network import Network, build_backbone, build_neck
from hrnet_jax.tasks import segmentation


class DeepHead(nn.Module):
  """`(B, h, w, C) -> (B, h, w, num_outputs)`.

  Attributes:
    num_outputs: channels of the result.
    width: channels of the convolutions.
    layer_config: dtypes and BatchNorm of the whole network.
  """

  num_outputs: int
  width: int
  layer_config: LayerConfig

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
    for index in range(2):
      x = ConvNorm(self.width, self.layer_config, name=f"conv{index}")(x, train=train)
    return Conv(self.num_outputs, 1, self.layer_config.wide, use_bias=True, name="classify")(x)


def build_model(*, num_classes: int, upsample: str, head_width: int = 64, **trunk: Any) -> Network:
  """The network; the keywords are the keys of `config.model`, `task` left out."""
  backbone = build_backbone(upsample=upsample, **trunk)
  head = DeepHead(num_classes, head_width, backbone.layer_config)
  return Network("segmentation_deep", backbone, build_neck("v2", backbone), head)


# Everything else is as in segmentation; PyTorch has no such network to compare with.
SPEC = dataclasses.replace(
  segmentation.SPEC, name="segmentation_deep", model=build_model, reference=None, parity=None
)
