"""The paper's detectors on COCO 2017: HRNetV2p in R-CNNs, by mmdetection's recipes.

  hrnet prepare --dataset=coco --source=FOLDER
  hrnet train --config=detection/coco:faster_rcnn_w18_1x --workdir=runs/coco \\
    --config.init_from=IMAGENET

The argument is METHOD_WIDTH_SCHEDULE, as in `mask_rcnn_w32_2x`, by default `faster_rcnn_w18_1x`:
`faster_rcnn`, `mask_rcnn`, `cascade_rcnn` or `cascade_mask_rcnn`; w18, w32, w40 or w48; 1x, 2x or
20e. IMAGENET is the converted classification network of that width, from which all published
results start. Nothing of this has been trained with this package yet.

Cost: Faster R-CNN W18 takes 1.6e11 multiply-accumulates for an image of 800x1216, W48 4e11; with
the backward pass about 7e17 for the 12 epochs of 117 thousand images.

Reference, box AP / mask AP in % on val2017 (mmdetection, configs/hrnet; W48: mmdetection 1.x):

  faster_rcnn        w18 1x 36.9, 2x 38.9; w32 40.2, 41.4; w40 41.2, 42.1; w48 40.9, 41.5
  mask_rcnn          w18 1x 37.7 / 34.2, 2x 39.8 / 36.0; w32 41.2 / 37.1, 42.5 / 37.8;
                     w40 42.1 / 37.5, 42.8 / 38.2; w48 42.4 / 38.1, 42.9 / 38.3
  cascade_rcnn       20e: w18 41.2, w32 43.3, w40 43.8, w48 44.6
  cascade_mask_rcnn  20e: w18 41.6 / 36.4, w32 44.3 / 38.6, w40 45.1 / 39.3, w48 46.0 / 39.5
"""

import re

import ml_collections

from configs import common
from configs.detection.common import METHODS, base

WIDTHS = ("w18", "w32", "w40", "w48")
# Epochs, and those after which the rate falls to a tenth.
SCHEDULES = {"1x": (12, (8, 11)), "2x": (24, (16, 22)), "20e": (20, (16, 19))}
DEFAULT = "faster_rcnn_w18_1x"
EXPERIMENTS = (
  DEFAULT,
  *(
    name
    for method in METHODS
    for width in WIDTHS
    for schedule in (("20e",) if "cascade" in method else ("1x", "2x"))
    if (name := f"{method}_{width}_{schedule}") != DEFAULT
  ),
)
_NAME = re.compile(rf"({'|'.join(METHODS)})_({'|'.join(WIDTHS)})_({'|'.join(SCHEDULES)})")


def get_config(name: str = DEFAULT) -> ml_collections.ConfigDict:
  """Returns the experiment.

  Args:
    name: METHOD_WIDTH_SCHEDULE.

  Raises:
    ValueError: it is none.
  """
  match = _NAME.fullmatch(name)
  if not match:
    raise ValueError(
      f"unknown detector {name!r}; expected METHOD_WIDTH_SCHEDULE, such as {DEFAULT}: faster_rcnn, "
      "mask_rcnn, cascade_rcnn or cascade_mask_rcnn; w18, w32, w40 or w48; 1x, 2x or 20e"
    )
  method, width, schedule = match.groups()
  epochs, milestones = SCHEDULES[schedule]
  config = base(method, width, "coco", num_classes=80)
  config.data.update({"train_split": "train2017_objects", "eval_split": "val2017", "workers": 4})
  canvas = ((800, 1344), (1344, 800))
  config.transform.train.update({"canvas": canvas, "scales": ((1333, 800),)})
  config.transform.eval.update({"canvas": canvas, "scale": (1333, 800)})
  steps = {"name": "step", "milestones": milestones, "factor": 0.1}
  warmup = {"warmup_steps": 500, "warmup_ratio": 0.001}
  config.optimizer = common.optimizer(
    common.SGD, steps | warmup, learning_rate=0.02, weight_decay=1e-4
  )
  config.train.update({"epochs": epochs, "log_every": 50})
  config.checkpoint.every_steps = 2000
  return config
