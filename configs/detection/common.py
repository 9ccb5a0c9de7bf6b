"""Blocks that the detection configs share: HRNetV2p and a two-stage detector."""

import ml_collections

from configs import common

METHODS = ("faster_rcnn", "mask_rcnn", "cascade_rcnn", "cascade_mask_rcnn")


def base(method: str, variant: str, data: str, *, num_classes: int) -> ml_collections.ConfigDict:
  """Everything but sizes of images, rate and length.

  Args:
    method: one of `METHODS`.
    variant: of the network.
    data: name of the data set.
    num_classes: of it.

  Raises:
    ValueError: there is no such method.
  """
  if method not in METHODS:
    raise ValueError(f"unknown detector {method!r}; known: {', '.join(METHODS)}")
  config = common.base(
    "detection",
    variant,
    data,
    num_classes=num_classes,
    method=method,
    convention="modern",
    norm_eval=True,  # the trunk's BatchNorm keeps the statistics that it came with
    min_score=0.05,
    max_detections=100,
    roi_batch_size=512,
    roi_align="gather",
  )
  config.model.upsample = "nearest"
  sizes = {
    "canvas": (),
    "max_objects": 100,
    "masks": "mask" in method,
    "mask_size": 112,
    "min_area": 0.0,
  }
  config.transform.train = sizes | {"scales": (), "scale_mode": "value", "flip": True}
  config.transform.eval = sizes | {"scale": ()}
  return config
