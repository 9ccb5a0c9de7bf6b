"""Backbone, representation and head joined into a network: `(B, H, W, 3)` -> task outputs."""

import dataclasses
from typing import Any

import flax.linen as nn
import jax

from hrnet_jax.models import representations
from hrnet_jax.models.backbone import VARIANTS, Depth, HRNet
from hrnet_jax.models.detection.detector import Detector
from hrnet_jax.models.detection.heads import Heads
from hrnet_jax.models.detection.methods import build_method
from hrnet_jax.models.heads import LinearHead, PixelHead, PooledHead
from hrnet_jax.models.layers import Numerics
from hrnet_jax.models.ocr import OCRHead
from hrnet_jax.ops import anchors
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


def _segmentation(
  *,
  num_classes: int,
  upsample: str,
  bn_momentum: float = 0.01,
  representation: str = "v2",
  head: str = "pixel",
  **trunk: Any,
) -> Network:
  """Logits at stride 4, `(B, H / 4, W / 4, num_classes)`; lib/models/seg_hrnet.py.

  With the `ocr` head a pair, auxiliary and main; lib/models/seg_hrnet_ocr.py.
  """
  backbone = build_backbone(upsample=upsample, bn_momentum=bn_momentum, **trunk)
  features = build_representation(representation, backbone, known=("v1", "v1h", "v2"))
  build_head = _lookup({"pixel": PixelHead, "ocr": OCRHead}, head, "head")
  return Network("segmentation", backbone, features, build_head(num_classes, backbone.numerics))


def _landmarks(
  *,
  num_landmarks: int,
  upsample: str = Resize.BILINEAR,
  bn_momentum: float = 0.01,
  representation: str = "v2",
  **trunk: Any,
) -> Network:
  """Heat maps at stride 4, `(B, H / 4, W / 4, num_landmarks)`; lib/models/hrnet.py."""
  backbone = build_backbone(upsample=upsample, bn_momentum=bn_momentum, **trunk)
  features = build_representation(representation, backbone, known=("v1", "v1h", "v2"))
  return Network("landmarks", backbone, features, PixelHead(num_landmarks, backbone.numerics))


def _classification(*, num_classes: int, **trunk: Any) -> Network:
  """Logits `(B, num_classes)`; lib/models/cls_hrnet.py. Sides must be multiples of 32."""
  backbone = build_backbone(**trunk)
  features = build_representation("classification", backbone)
  return Network("classification", backbone, features, PooledHead(num_classes, backbone.numerics))


def _detection(
  *,
  num_classes: int,
  method: str,
  convention: str = "modern",
  norm_eval: bool = True,
  min_score: float = 0.05,
  max_detections: int = 100,
  regions: int = 512,
  roi_align: str = "gather",
  **trunk: Any,
) -> Detector:
  """Two-stage detector on HRNetV2p; mmdet/models/detectors/two_stage.py."""
  backbone = build_backbone(**trunk)
  design = build_method(method, convention, regions=regions, roi_align=roi_align)
  return Detector(
    "detection",
    backbone,
    build_representation("v2p", backbone),
    Heads(design, num_classes, len(anchors.RATIOS), backbone.numerics),
    norm_eval=norm_eval,
    min_score=min_score,
    max_detections=max_detections,
  )


def _pose(*, num_landmarks: int, **trunk: Any) -> Network:
  """HRNetV1: heat maps at stride 4, `(B, H / 4, W / 4, num_landmarks)`; pose_hrnet.py."""
  backbone = dataclasses.replace(build_backbone(**trunk), outputs=1)
  features = build_representation("v1", backbone)
  return Network("pose", backbone, features, LinearHead(num_landmarks, backbone.numerics))


_BUILDERS = {
  "classification": _classification,
  "detection": _detection,
  "landmarks": _landmarks,
  "pose": _pose,
  "segmentation": _segmentation,
}


def build_model(*, task: str, **options: Any) -> Network | Detector:
  """Builds the network of a task; the keywords are those of `config.model`.

  Args:
    task: `segmentation` takes `num_classes` and `upsample` (one of `nearest`, `bilinear`,
      `bilinear_aligned`: a property of the checkpoint, hence no default); `landmarks` takes
      `num_landmarks`; both take `representation` (`v1`, `v1h`, `v2`), and segmentation a `head`
      (`pixel`, or `ocr` with an auxiliary and a main output). `classification` takes
      `num_classes`, `pose` `num_landmarks`. `detection` takes `num_classes`, a `method` (a name in
      `detection.methods.NAMES`), the `convention` of boxes (`modern`, `legacy`), `norm_eval`,
      whether norms keep their statistics in training, `min_score`, `max_detections`, the `regions`
      of an image that are learned, and how `roi_align` reads them (`gather`, `matrix`).
    **options: the task's own and those of `build_backbone`. What the reference of a task has one
      value for is its default: BatchNorm's momentum, and the upsampling of all but segmentation.

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
  bn_group_size: int = 0,
  roll: bool = False,
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
    roll: compiles equal parts of the network once, as loops; the same variables and numbers.
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
    shape = dataclasses.replace(_lookup(VARIANTS, variant, "variant"), **depth)
  return HRNet(shape, Resize(upsample), numerics, roll=roll, remat=remat)


def build_representation(
  name: str, backbone: HRNet, known: tuple[str, ...] = ("v1", "v1h", "v2", "v2p", "classification")
) -> nn.Module:
  """Builds a representation in the numerics and the interpolation of a backbone.

  Args:
    name: one of `known`.
    backbone: whose maps it will take.
    known: the names that make sense here.

  Raises:
    ValueError: unknown name.
  """
  n = backbone.numerics
  table = {
    "v1": representations.V1,
    "v1h": lambda: representations.V1H(n),
    "v2": lambda: representations.V2(backbone.upsample),
    "v2p": lambda: representations.V2P(n),
    "classification": lambda: representations.Classification(n),
  }
  return _lookup({key: table[key] for key in known}, name, "representation")()


def _lookup(table: dict[str, Any], name: str, kind: str) -> Any:
  if name not in table:
    raise ValueError(f"unknown {kind} {name!r}; known: {', '.join(sorted(table))}")
  return table[name]
