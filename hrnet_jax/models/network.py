"""Backbone, neck and head joined into a network: `(B, H, W, C)` -> task outputs."""

from collections.abc import Mapping
import dataclasses
from typing import Any

import flax.linen as nn
import jax

from hrnet_jax import registry
from hrnet_jax.models import necks
from hrnet_jax.models.backbone import VARIANTS, Depth, HRNet
from hrnet_jax.models.layers import Numerics
from hrnet_jax.ops.resize import Resize


class Network(nn.Module):
  """Three parts joined by position; none knows the others.

  Attributes:
    task: what the network was built for; decides the names of the reference's weights.
    backbone: image -> pyramid.
    representation: pyramid -> features.
    head: features -> outputs.
  """

  task: str
  backbone: nn.Module
  representation: nn.Module
  head: nn.Module

  @nn.compact
  def __call__(self, images: jax.Array, *, train: bool) -> Any:
    xs = self.backbone(images, train=train)
    return self.head(self.representation(xs, train=train), train=train)


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
  return registry.task_spec(task).part("model")(**options)


def build_backbone(
  variant: str | None = None,
  *,
  upsample: str = Resize.NEAREST,
  bn_momentum: float = 0.1,
  dtype: Any = "float32",
  init: str = "kaiming",
  bn_group_size: int = 0,
  scan_layers: bool = False,
  remat: bool = False,
  **depth: Any,
) -> HRNet:
  """Builds the trunk alone: `(B, H, W, 3)` -> four maps at strides 4, 8, 16 and 32.

  Args:
    variant: a published network, a key of `backbone.VARIANTS`; or `None` with a `width`.
    upsample: interpolation in the exchange units; the ImageNet checkpoints use `nearest`.
    bn_momentum: weight of the new batch in BatchNorm's running statistics, as in PyTorch.
    dtype: `float32`, `bfloat16` or `float64` (parity); see `Numerics`.
    init: a key of `layers.INITIALIZERS`, such as `kaiming` (fan-out normal) or `normal_0.001`.
    bn_group_size: examples that share BatchNorm's statistics in training; 0 is the whole batch.
    scan_layers: compiles equal parts of the network once, as loops; the same variables and numbers.
    remat: saves memory in training: the backward pass computes stage 1 and every exchange module
      again instead of keeping what is inside.
    **depth: fields of `Depth` that differ from the variant's, such as `blocks=1` for a toy.

  Raises:
    ValueError: an unknown name or value. TypeError: neither `variant` nor `width`, or an
      unknown keyword.
  """
  numerics = Numerics(dtype=dtype, bn_momentum=bn_momentum, init=init, bn_group_size=bn_group_size)
  if upsample not in list(Resize):
    raise ValueError(f"unknown upsample {upsample!r}; known: {', '.join(Resize)}")
  if "modules" in depth:
    depth["modules"] = tuple(depth["modules"])
  if variant is None:
    shape = Depth(**depth)
  else:
    shape = dataclasses.replace(lookup(VARIANTS, variant, "variant"), **depth)
  return HRNet(shape, Resize(upsample), numerics, scan_layers=scan_layers, remat=remat)


def build_neck(
  name: str, backbone: HRNet, known: tuple[str, ...] = ("v1", "v1h", "v2", "v2p")
) -> nn.Module:
  """Builds a neck in the numerics and the interpolation of a backbone.

  Args:
    name: one of `known`; value of `config.model.representation`.
    backbone: whose maps it will take.
    known: the names that make sense here.

  Raises:
    ValueError: unknown name.
  """
  n = backbone.numerics
  table = {
    "v1": necks.V1,
    "v1h": lambda: necks.V1H(n),
    "v2": lambda: necks.V2(backbone.upsample),
    "v2p": lambda: necks.V2P(n),
  }
  return lookup({key: table[key] for key in known}, name, "representation")()


def lookup(table: Mapping[str, Any], name: str, kind: str) -> Any:
  """The entry of a table, or a ValueError that says which there are."""
  if name not in table:
    raise ValueError(f"unknown {kind} {name!r}; known: {', '.join(sorted(table))}")
  return table[name]
