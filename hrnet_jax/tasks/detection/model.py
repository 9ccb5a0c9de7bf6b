"""The network for detection: HRNetV2p and the heads of a two-stage detector."""

from typing import Any

from hrnet_jax.models.network import build_backbone, build_neck
from hrnet_jax.ops import anchors
from hrnet_jax.tasks.detection.detector import Detector
from hrnet_jax.tasks.detection.heads import Heads
from hrnet_jax.tasks.detection.methods import build_method


def build_model(
  *,
  num_classes: int,
  method: str,
  convention: str = "modern",
  norm_eval: bool = True,
  min_score: float = 0.05,
  max_detections: int = 100,
  roi_batch_size: int = 512,
  roi_align: str = "gather",
  **options: Any,
) -> Detector:
  """Builds a two-stage detector on HRNetV2p; mmdet/models/detectors/two_stage.py.

  Args:
    num_classes: of the data set, without background.
    method: a name in `methods.NAMES`, such as `faster_rcnn`.
    convention: of boxes, a value of `ops.boxes.Convention`.
    norm_eval: see `Detector`.
    min_score: see `Detector`.
    max_detections: see `Detector`.
    roi_batch_size: regions of an image that each stage learns from.
    roi_align: a value of `ops.roi_align.RoiAlignMethod`.
    **options: see `models.network.build_backbone`.
  """
  backbone = build_backbone(**options)
  design = build_method(method, convention, roi_batch_size=roi_batch_size, roi_align=roi_align)
  return Detector(
    "detection",
    backbone,
    build_neck("v2p", backbone),
    Heads(design, num_classes, len(anchors.RATIOS), backbone.layer_config),
    norm_eval=norm_eval,
    min_score=min_score,
    max_detections=max_detections,
  )
