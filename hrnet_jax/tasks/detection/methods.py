"""The published detectors as values: `name, convention -> DetectionMethod`."""

import dataclasses

from hrnet_jax.errors import UserError, check_known
from hrnet_jax.ops.boxes import Convention
from hrnet_jax.ops.roi_align import RoiAlignMethod

FASTER, MASK = "faster_rcnn", "mask_rcnn"
CASCADE, CASCADE_MASK = "cascade_rcnn", "cascade_mask_rcnn"


@dataclasses.dataclass(frozen=True)
class BoxStage:
  """One box head of a detector.

  Attributes:
    iou: from which on a proposal is a positive example of the object that it covers best.
    stds: of the box coder.
    weight: of all losses of the stage.
  """

  iou: float
  stds: tuple[float, float, float, float]
  weight: float = 1.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class DetectionMethod:
  """The settings that tell one two-stage detector from another.

  Attributes:
    convention: of all boxes.
    stages: box heads, one after the other.
    masks: whether every stage has a mask head.
    class_agnostic: whether a box head gives one box for each proposal, not one for each class.
    border: pixels that an anchor of the training may stick out of the image; below 0 any number.
    low_quality: whether also in the stages every object gets the proposals that cover it best.
    rpn_beta: where the box loss of the proposals becomes linear; 0 is the absolute difference.
    box_beta: the same of the stages.
    roi_batch_size: regions of an image that each stage learns from; at most a quarter of them has
      an object.
    train_candidates: best anchors of each level in training.
    train_proposals: that are left of these in training.
    test_candidates: as `train_candidates`, in tests.
    test_proposals: as `train_proposals`, in tests.
    roi_align: how features of regions are read; the numbers are the same.
  """

  convention: Convention
  stages: tuple[BoxStage, ...]
  masks: bool
  class_agnostic: bool
  border: float
  low_quality: bool
  rpn_beta: float
  box_beta: float
  roi_batch_size: int = 512
  train_candidates: int = 2000
  train_proposals: int = 1000
  test_candidates: int = 1000
  test_proposals: int = 1000
  roi_align: RoiAlignMethod = RoiAlignMethod.GATHER


_ONE = (BoxStage(0.5, (0.1, 0.1, 0.2, 0.2)),)
_THREE = (
  BoxStage(0.5, (0.1, 0.1, 0.2, 0.2), 1.0),
  BoxStage(0.6, (0.05, 0.05, 0.1, 0.1), 0.5),
  BoxStage(0.7, (0.033, 0.033, 0.067, 0.067), 0.25),
)
NAMES = (FASTER, MASK, CASCADE, CASCADE_MASK)


def build_method(
  name: str,
  convention: str = Convention.MODERN,
  *,
  roi_batch_size: int = 512,
  roi_align: str = RoiAlignMethod.GATHER,
) -> DetectionMethod:
  """The detector of that name in one of the two conventions.

  Modern: configs/hrnet of mmdetection 2.28 and 3.3. Legacy: HRNet/HRNet-Object-Detection, where
  all detectors have smooth losses and as many proposals in tests as in training.

  Args:
    name: one of `NAMES`.
    convention: a value of `Convention`.
    roi_batch_size: see `DetectionMethod`; fewer save time where there are few objects.
    roi_align: a value of `ops.roi_align.RoiAlignMethod`.

  Raises:
    ValueError: unknown name, convention or way to read, or too few regions.
  """
  if roi_batch_size < 4:
    raise UserError(f"model.roi_batch_size is {roi_batch_size}, expected 4 or more")
  check_known(name, NAMES, "method")
  check_known(convention, Convention, "convention")
  check_known(roi_align, RoiAlignMethod, "roi_align")
  cascade, masks = name in (CASCADE, CASCADE_MASK), name in (MASK, CASCADE_MASK)
  method = DetectionMethod(
    convention=Convention(convention),
    stages=_THREE if cascade else _ONE,
    masks=masks,
    class_agnostic=cascade,
    border=0 if cascade else -1,
    low_quality=name == MASK,
    rpn_beta=1 / 9 if cascade else 0.0,
    box_beta=1.0 if cascade else 0.0,
    train_proposals=2000 if cascade else 1000,
    roi_batch_size=roi_batch_size,
    roi_align=RoiAlignMethod(roi_align),
  )
  if method.convention is Convention.MODERN:
    return method
  return dataclasses.replace(
    method,
    border=0,
    low_quality=True,
    rpn_beta=1 / 9,
    box_beta=1.0,
    train_proposals=2000,
    test_candidates=2000,
    test_proposals=2000,
  )
