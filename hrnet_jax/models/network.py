"""Backbone, neck and head joined into a network: `(B, H, W, C)` -> task outputs."""

import dataclasses
from typing import Any

import flax.linen as nn
import jax

from hrnet_jax import registry
from hrnet_jax.errors import UserError, check_known, config_keys, lookup
from hrnet_jax.models import necks
from hrnet_jax.models.backbone import VARIANTS, HRNet, HRNetConfig
from hrnet_jax.models.layers import LayerConfig
from hrnet_jax.models.scan import ScannedHRNet
from hrnet_jax.ops.resize import Resize

_MOST_CHANNELS, _MOST_PARTS = 4096, 64  # of a network that is meant seriously


class Network(nn.Module):
  """Three parts joined by position; none knows the others.

  Attributes:
    task: what the network was built for; decides the names of the reference's weights.
    backbone: image -> pyramid.
    representation: the neck, pyramid -> features.
    head: features -> outputs.
  """

  task: str
  backbone: HRNet
  representation: nn.Module  # the paper's word; checkpoints name the neck's weights so
  head: nn.Module

  @property
  def channels(self) -> int:
    """Channels of the images."""
    return self.backbone.channels

  @nn.compact
  def __call__(self, images: jax.Array, *, train: bool) -> Any:
    xs, neck = self.backbone(images, train=train), self.representation
    if isinstance(neck, necks.HRNetV2) and getattr(self.head, "begins_pointwise", False):
      return self.head(neck.separate(xs, train=train), train=train)
    return self.head(neck(xs, train=train), train=train)


def image_shape(model: nn.Module, size: tuple[int, int], batch: int = 1) -> tuple[int, ...]:
  """Shape of the images that a network takes.

  Args:
    model: a network; one of another package without a `channels` takes three.
    size: height and width.
    batch: number of images.

  Returns:
    `(batch, height, width, channels)`.
  """
  return (batch, *size, getattr(model, "channels", 3))


def build_model(*, task: str, **options: Any) -> nn.Module:
  """Builds the network of a task; the keywords are those of `config.model`.

  Args:
    task: its name; see `registry`.
    **options: the task's own, documented at its `build_model`, and those of `build_backbone`. What
      the reference of a task has one value for is its default: BatchNorm's momentum, and the
      upsampling where all of its checkpoints have the same.

  Returns:
    A Flax module: `module.apply(variables, images, train=False)`.

  Raises:
    ValueError: unknown task or a wrong value. TypeError: an unknown or missing keyword.
  """
  build = registry.task_spec(task).part("model")
  with config_keys({"model": options}, "model"):
    return build(**options)


def build_backbone(
  variant: str | None = None,
  *,
  upsample: str = Resize.NEAREST,
  channels: int = 3,
  norm: str = "batch",
  bn_momentum: float = 0.1,
  bn_group_size: int = 0,
  init: str = "kaiming",
  dtype: Any = "float32",
  scan_layers: bool = False,
  remat: bool = False,
  **size: Any,
) -> HRNet:
  """Builds the backbone: `(B, H, W, channels)` -> four maps at strides 4, 8, 16 and 32.

  Args:
    variant: a published network, a key of `backbone.VARIANTS`; or `None` with a `width`.
    upsample: interpolation in the exchange units; the ImageNet checkpoints use `nearest`.
    channels: of the images.
    norm: `batch` or `group`; see `LayerConfig`.
    bn_momentum: weight of the new batch in BatchNorm's running statistics, as in PyTorch.
    bn_group_size: examples that share BatchNorm's statistics in training; 0 is the whole batch.
    init: a key of `layers.INITIALIZERS`, such as `kaiming` (fan-out normal) or `normal_0.001`.
    dtype: `float32`, `bfloat16` or `float64` (parity); see `LayerConfig`.
    scan_layers: compiles equal parts of the network once, as loops; the same variables and numbers.
    remat: saves memory in training: the backward pass computes stage 1 and every exchange module
      again instead of keeping what is inside.
    **size: fields of `HRNetConfig` that differ from the variant's, such as `blocks=1` for a toy.

  Raises:
    ValueError: an unknown name or value. TypeError: neither `variant` nor `width`, or an
      unknown keyword.
  """
  layer_config = LayerConfig(
    dtype=dtype, norm=norm, bn_momentum=bn_momentum, bn_group_size=bn_group_size, init=init
  )
  check_known(upsample, Resize, "upsample")
  if type(channels) is not int or channels < 1:
    raise UserError(f"channels is {channels!r}; expected the number that images have, such as 3")
  if "modules" in size:
    size["modules"] = tuple(size["modules"])
  if variant is None:
    config = HRNetConfig(**size)
  else:
    config = dataclasses.replace(lookup(VARIANTS, variant, "variant"), **size)
  _check_size(config)
  parts = (config, Resize(upsample), layer_config)
  if scan_layers or remat:
    return ScannedHRNet(*parts, channels=channels, scan_layers=scan_layers, remat=remat)
  return HRNet(*parts, channels=channels)


def _check_size(config: HRNetConfig) -> None:
  """Refuses what nobody means, before hours of tracing or more memory than there is."""
  for key, value in dataclasses.asdict(config).items():
    most = _MOST_CHANNELS if "width" in key else _MOST_PARTS
    for number in value if key == "modules" else (value,):
      if type(number) is not int or not 0 <= number <= most:
        raise UserError(f"model.{key} is {value!r}; expected whole numbers of at most {most}")


def build_neck(
  name: str, backbone: HRNet, known: tuple[str, ...] = ("v1", "v1h", "v2", "v2p")
) -> nn.Module:
  """Builds a neck with the layer config and the interpolation of a backbone.

  Args:
    name: one of `known`; value of `config.model.representation`.
    backbone: whose maps it will take.
    known: the names that make sense here.

  Raises:
    ValueError: unknown name.
  """
  table = {
    "v1": necks.HRNetV1,
    "v1h": lambda: necks.HRNetV1h(backbone.layer_config),
    "v2": lambda: necks.HRNetV2(backbone.upsample),
    "v2p": lambda: necks.HRNetV2p(backbone.layer_config),
  }
  return lookup({key: table[key] for key in known}, name, "representation")()
