"""The paper's detectors on COCO 2017: HRNetV2p in R-CNNs, by mmdetection's recipes.

  python -m hrnet_jax.prepare --dataset=coco --source=FOLDER
  python train.py --config=configs/detection/coco.py --workdir=runs/coco \\
    --config.init_from=IMAGENET

trains `faster_rcnn_w18_1x`; others are named after a colon, METHOD_WIDTH_SCHEDULE, as in
`--config=configs/detection/coco.py:mask_rcnn_w32_2x`: `faster_rcnn`, `mask_rcnn`, `cascade_rcnn`
or `cascade_mask_rcnn`; w18, w32, w40 or w48; 1x, 2x or 20e. IMAGENET is the converted
classification network of that width, from which all published results start. Nothing of this has
been trained with this package yet.

Cost: Faster R-CNN W18 takes 1.6e11 multiply-accumulates for an image of 800x1216, W48 4e11
(docs/models.md); with the backward pass about 7e17 for the 12 epochs of 117 thousand images.

Reference, box AP / mask AP in % on val2017 (mmdetection, configs/hrnet; W48: mmdetection 1.x):

  faster_rcnn        w18 1x 36.9, 2x 38.9; w32 40.2, 41.4; w40 41.2, 42.1; w48 40.9, 41.5
  mask_rcnn          w18 1x 37.7 / 34.2, 2x 39.8 / 36.0; w32 41.2 / 37.1, 42.5 / 37.8;
                     w40 42.1 / 37.5, 42.8 / 38.2; w48 42.4 / 38.1, 42.9 / 38.3
  cascade_rcnn       20e: w18 41.2, w32 43.3, w40 43.8, w48 44.6
  cascade_mask_rcnn  20e: w18 41.6 / 36.4, w32 44.3 / 38.6, w40 45.1 / 39.3, w48 46.0 / 39.5
"""

import re

import ml_collections

DEFAULT = "faster_rcnn_w18_1x"
# Epochs, and those after which the rate falls to a tenth.
SCHEDULES = {"1x": (12, (8, 11)), "2x": (24, (16, 22)), "20e": (20, (16, 19))}
_NAME = re.compile(r"((?:faster|mask|cascade|cascade_mask)_rcnn)_(w18|w32|w40|w48)_(1x|2x|20e)")


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
  config = ml_collections.ConfigDict()
  config.seed = 0
  config.init_from = ""
  config.mesh = {"data": -1, "space": 1}
  config.model = {
    "task": "detection",
    "method": method,
    "variant": width,
    "num_classes": 80,
    "convention": "modern",
    "norm_eval": True,
    "min_score": 0.05,
    "max_detections": 100,
    "roi_batch_size": 512,
    "roi_align": "gather",
    "bn_momentum": 0.1,
    "dtype": "float32",
    "init": "kaiming",
    "bn_group_size": 0,
    "scan_layers": True,
    "remat": False,
  }
  config.data = {
    "name": "coco",
    "data_dir": "",
    "train_split": "train2017_objects",
    "eval_split": "val2017",
    "workers": 4,
    "threads": 2,
  }
  canvas, masks = ((800, 1344), (1344, 800)), "mask" in method
  config.transform = {
    "train": {
      "canvas": canvas,
      "scales": ((1333, 800),),
      "scale_mode": "value",
      "flip": True,
      "max_objects": 100,
      "masks": masks,
    },
    "eval": {"canvas": canvas, "scale": (1333, 800), "max_objects": 100, "masks": masks},
  }
  config.loss = {}
  config.optimizer = {
    "name": "sgd",
    "learning_rate": 0.02,
    "momentum": 0.9,
    "weight_decay": 1e-4,
    "clip_norm": 0.0,
    "schedule": {
      "name": "step",
      "milestones": milestones,
      "factor": 0.1,
      "warmup_steps": 500,
      "warmup_ratio": 0.001,
    },
  }
  config.train = {"epochs": epochs, "steps": 0, "batch_size": 16, "accumulate": 1, "log_every": 50}
  config.train.watchdog = {"warn": 300.0, "abort": 0.0}
  config.eval = {"batch_size": 16, "every_epochs": 1, "pictures": 8}
  config.checkpoint = {"every_steps": 2000, "keep_last": 2}
  return config
