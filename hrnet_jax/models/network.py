"""Backbone, representation and head joined into a network: `(B, H, W, 3)` -> task outputs."""

import dataclasses
from typing import Any

import flax.linen as nn
import jax

from hrnet_jax.models.backbone import VARIANTS, Depth, HRNet
from hrnet_jax.models.heads import PixelHead
from hrnet_jax.models.layers import Numerics
from hrnet_jax.models.representations import V2
from hrnet_jax.ops.resize import Resize


class Network(nn.Module):
  """Three parts joined by position; none knows the others."""

  backbone: nn.Module
  representation: nn.Module
  head: nn.Module

  @nn.compact
  def __call__(self, images: jax.Array, *, train: bool) -> Any:
    xs = self.backbone(images, train=train)
    return self.head(self.representation(xs, train=train), train=train)


def _segmentation(
  *, num_classes: int, upsample: str, bn_momentum: float = 0.01, **trunk: Any
) -> Network:
  """Logits at stride 4, `(B, H / 4, W / 4, num_classes)`; lib/models/seg_hrnet.py."""
  backbone = build_backbone(upsample=upsample, bn_momentum=bn_momentum, **trunk)
  head = PixelHead(num_classes, backbone.numerics)
  return Network(backbone, V2(backbone.upsample), head)


_BUILDERS = {"segmentation": _segmentation}


def build_model(*, task: str, **options: Any) -> Network:
  """Builds the network of a task; the keywords are those of `config.model`.

  Args:
    task: `segmentation`, which takes `num_classes` and `upsample` (one of `nearest`,
      `bilinear`, `bilinear_aligned`: a property of the checkpoint, hence no default).
    **options: the task's own and those of `build_backbone`.

  Returns:
    A Flax module: `module.apply(variables, images, train=False)`.

  Raises:
    ValueError: unknown task or a wrong value. TypeError: an unknown or missing keyword.
  """
  return _lookup(_BUILDERS, task, "task")(**options)


def build_backbone(
  variant: str | None = None,
  *,
  upsample: str = Resize.NEAREST,
  bn_momentum: float = 0.1,
  dtype: Any = "float32",
  init: str = "kaiming",
  **depth: Any,
) -> HRNet:
  """Builds the trunk alone: `(B, H, W, 3)` -> four maps at strides 4, 8, 16 and 32.

  Args:
    variant: a published network, a key of `backbone.VARIANTS`; or `None` with a `width`.
    upsample: interpolation in the exchange units; the ImageNet checkpoints use `nearest`.
    bn_momentum: weight of the new batch in BatchNorm's running statistics, as in PyTorch.
    dtype: `float32`, `bfloat16` or `float64` (parity); see `Numerics`.
    init: `kaiming` (fan-out normal) or `normal_0.001`.
    **depth: fields of `Depth` that differ from the variant's, such as `blocks=1` for a toy.

  Raises:
    ValueError: an unknown name or value. TypeError: neither `variant` nor `width`, or an
      unknown keyword.
  """
  numerics = Numerics(dtype=jax.numpy.dtype(dtype), bn_momentum=bn_momentum, init=init)
  if upsample not in list(Resize):
    raise ValueError(f"unknown upsample {upsample!r}; known: {', '.join(Resize)}")
  if "modules" in depth:
    depth["modules"] = tuple(depth["modules"])
  if variant is None:
    return HRNet(Depth(**depth), Resize(upsample), numerics)
  shape = dataclasses.replace(_lookup(VARIANTS, variant, "variant"), **depth)
  return HRNet(shape, Resize(upsample), numerics)


def _lookup(table: dict[str, Any], name: str, kind: str) -> Any:
  if name not in table:
    raise ValueError(f"unknown {kind} {name!r}; known: {', '.join(sorted(table))}")
  return table[name]
