"""HRNetV2p-W18-small-v1 on the built-in shapes: a detector with masks that trains on a CPU.

  hrnet train --config=detection/shapes:mask_rcnn --workdir=runs/shapes_detection

Needs no data. The argument is the method, `mask_rcnn` by default; `faster_rcnn`, `cascade_rcnn` and
`cascade_mask_rcnn` are the others. Scenes of 128 x 128 are enlarged to 192 x 192, because the
smallest anchors have 32 x 32. Cost: about 1e10 multiply-accumulates an image forward; the 400 steps
of 8 images took 49 minutes on two cores that did other things as well. Box AP50 on the 160 scenes
kept apart: 96.5 %.
"""

import ml_collections

from configs import common
from configs.detection.common import base

EXPERIMENTS = ("mask_rcnn", "faster_rcnn", "cascade_rcnn", "cascade_mask_rcnn")


def get_config(method: str = "mask_rcnn") -> ml_collections.ConfigDict:
  """Returns the experiment.

  Args:
    method: one of `EXPERIMENTS`.

  Raises:
    ValueError: it is none.
  """
  config = base(method, "w18_small_v1", "shapes", num_classes=5)
  config.model.update({"norm_eval": False, "max_detections": 20, "roi_batch_size": 32})
  canvas = ((192, 192),)
  config.transform.train.update({"canvas": canvas, "scales": canvas, "max_objects": 8})
  config.transform.eval.update({"canvas": canvas, "scale": canvas[0], "max_objects": 8})
  config.optimizer = common.optimizer(common.ADAM, common.POLY, learning_rate=5e-4, clip_norm=10.0)
  config.train.update({"epochs": 4, "batch_size": 8})
  config.eval.update({"batch_size": 8, "every_epochs": 2})
  config.checkpoint.every_steps = 200
  return config
