"""Heads of two-stage detectors: feature maps -> scores and deltas, float32 in a bfloat16 network.

Sources: `rpn_head.py`, `convfc_bbox_head.py` and `fcn_mask_head.py` of mmdetection, whose
initialisation this is.
"""

from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from hrnet_jax.models.layers import Conv, LayerConfig
from hrnet_jax.tasks.detection.methods import DetectionMethod

CHANNELS, HIDDEN = 256, 1024


class ProposalHead(nn.Module):
  """Whether there is an object at an anchor, and where it really is; shared by all levels.

  `(B, h, w, C) -> (B, h * w * anchors), (B, h * w * anchors, 4)` in the order of the anchors.
  """

  anchors: int
  layer_config: LayerConfig

  @nn.compact
  def __call__(self, x: jax.Array) -> tuple[jax.Array, jax.Array]:
    cfg, small = self.layer_config, nn.initializers.normal(0.01)
    x = nn.relu(_conv(CHANNELS, 3, cfg, small, "shared")(x))
    wide = cfg.wide
    logits = _conv(self.anchors, 1, wide, small, "classify")(x)
    deltas = _conv(4 * self.anchors, 1, wide, small, "regress")(x)
    return logits.reshape(x.shape[0], -1), deltas.reshape(x.shape[0], -1, 4)


class BoxHead(nn.Module):
  """Classes and boxes of regions: `(..., 7, 7, C) -> (..., classes + 1), (..., boxes, 4)`.

  The last class of the scores is background. `boxes` is the number of classes, or 1.
  """

  num_classes: int
  class_agnostic: bool
  layer_config: LayerConfig

  @nn.compact
  def __call__(self, x: jax.Array) -> tuple[jax.Array, jax.Array]:
    cfg, xavier = self.layer_config, nn.initializers.xavier_uniform()
    for i, axes in enumerate(((-3, -2, -1), (-1,))):
      x = nn.relu(_dense(HIDDEN, cfg, xavier, f"shared_{i}", axes)(x))
    wide, boxes = cfg.wide, 1 if self.class_agnostic else self.num_classes
    scores = _dense(self.num_classes + 1, wide, nn.initializers.normal(0.01), "classify")(x)
    deltas = _dense(4 * boxes, wide, nn.initializers.normal(0.001), "regress")(x)
    return scores, deltas.reshape(*x.shape[:-1], boxes, 4)


class MaskHead(nn.Module):
  """A mask for each class: `(N, 14, 14, C) -> (N, 28, 28, classes)` logits."""

  num_classes: int
  layer_config: LayerConfig

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    cfg, kaiming = self.layer_config, nn.initializers.variance_scaling(2.0, "fan_out", "normal")
    for i in range(4):
      x = nn.relu(_conv(CHANNELS, 3, cfg, kaiming, f"conv_{i}")(x))
    x = nn.relu(Deconvolution(CHANNELS, cfg, name="enlarge")(x))
    return _conv(self.num_classes, 1, cfg.wide, kaiming, "classify")(x)


class Deconvolution(nn.Module):
  """A transposed 2x2 convolution with stride 2: `(N, h, w, C) -> (N, 2 * h, 2 * w, features)`.

  Windows do not meet, so it is one product with the four results of every cell side by side.
  """

  features: int
  layer_config: LayerConfig

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    cfg, (count, h, w, c) = self.layer_config, x.shape
    # PyTorch's fan-out is that of the convolution whose transpose this is: from features to c.
    init = nn.initializers.variance_scaling(2.0, "fan_out", "normal")
    kernel = self.param("kernel", init, (2, 2, self.features, c), cfg.param_dtype)
    bias = self.param("bias", nn.initializers.zeros, (self.features,), cfg.param_dtype)
    y = jnp.einsum("nhwc,abfc->nhawbf", x.astype(cfg.dtype), kernel.astype(cfg.dtype))
    return y.reshape(count, 2 * h, 2 * w, self.features) + bias.astype(cfg.dtype)


class Heads(nn.Module):
  """All heads of a detector: `proposals`, `boxes` and `masks`, the latter by stage.

  Attributes:
    method: how many stages there are, and what they have.
    num_classes: K.
    anchors: of a cell.
    layer_config: of the network.
  """

  method: DetectionMethod
  num_classes: int
  anchors: int
  layer_config: LayerConfig

  def setup(self) -> None:
    """Makes the heads; only those of several stages are counted in their names."""
    stages = range(len(self.method.stages))
    boxes = [
      BoxHead(self.num_classes, self.method.class_agnostic, self.layer_config) for _ in stages
    ]
    masks = [MaskHead(self.num_classes, self.layer_config) for _ in stages if self.method.masks]
    self.proposals = ProposalHead(self.anchors, self.layer_config)
    self.boxes = boxes if len(boxes) > 1 else boxes[0]
    self.masks = masks[0] if len(masks) == 1 else masks

  def propose(self, level: jax.Array) -> tuple[jax.Array, jax.Array]:
    """See `ProposalHead`."""
    return self.proposals(level)

  def box(self, stage: int, features: jax.Array) -> tuple[jax.Array, jax.Array]:
    """See `BoxHead`."""
    return (self.boxes[stage] if isinstance(self.boxes, Sequence) else self.boxes)(features)

  def mask(self, stage: int, features: jax.Array) -> jax.Array:
    """See `MaskHead`."""
    return (self.masks[stage] if isinstance(self.masks, Sequence) else self.masks)(features)


def select_class(outputs: jax.Array, classes: jax.Array) -> jax.Array:
  """The output that belongs to the class of each sample.

  Args:
    outputs: `(B, S, K, ...)`.
    classes: `(B, S)` integers; outside `[0, K)` the result is zero.

  Returns:
    `(B, S, ...)`.
  """
  # A comparison: the gradient of a gather would be a scatter.
  hit = classes[..., None] == np.arange(outputs.shape[2])
  return jnp.where(hit.reshape(*hit.shape, *[1] * (outputs.ndim - 3)), outputs, 0).sum(2)


def _conv(features: int, size: int, cfg: LayerConfig, init: Any, name: str) -> Conv:
  zeros = nn.initializers.zeros
  return Conv(features, size, cfg, use_bias=True, kernel_init=init, bias_init=zeros, name=name)


def _dense(features: int, cfg: LayerConfig, init: Any, name: str, axes: Any = (-1,)) -> Any:
  return nn.DenseGeneral(
    features,
    axis=axes,
    dtype=cfg.dtype,
    param_dtype=cfg.param_dtype,
    kernel_init=init,
    name=name,
  )
