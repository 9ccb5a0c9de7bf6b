"""HRNetV2p-W18-small-v1 on the built-in shapes: a detector with masks that trains on a CPU.

  python train.py --config=configs/detection/shapes_w18_small_v1.py --workdir=runs/shapes_detection

Needs no data. Trains `mask_rcnn`; `shapes_w18_small_v1.py:faster_rcnn` and the like are the other
methods of `models/detection/methods.py`. Scenes of 128 x 128 are enlarged to 192 x 192, because the
smallest anchors have 32 x 32. Cost: about 1e10 multiply-accumulates an image forward; the 400 steps
of 8 images took 49 minutes on two cores that did other things as well. Box AP50 on the 160 scenes
kept apart: 96.5 % (docs/detection.md).
"""

import ml_collections

METHODS = ("faster_rcnn", "mask_rcnn", "cascade_rcnn", "cascade_mask_rcnn")


def get_config(method: str = "mask_rcnn") -> ml_collections.ConfigDict:
  """Returns the experiment.

  Args:
    method: of `METHODS`.

  Raises:
    ValueError: it is none.
  """
  if method not in METHODS:
    raise ValueError(f"unknown detector {method!r}; known: {', '.join(METHODS)}")
  config = ml_collections.ConfigDict()
  config.seed = 0
  config.init_from = ""
  config.mesh = {"data": -1, "space": 1}
  config.model = {
    "task": "detection",
    "method": method,
    "variant": "w18_small_v1",
    "num_classes": 5,
    "convention": "modern",
    "norm_eval": False,
    "min_score": 0.05,
    "max_detections": 20,
    "roi_batch_size": 32,
    "roi_align": "gather",
    "bn_momentum": 0.1,
    "dtype": "float32",
    "init": "kaiming",
    "bn_group_size": 0,
    "scan_layers": True,
    "remat": False,
  }
  config.data = {
    "name": "shapes",
    "data_dir": "",
    "train_split": "train",
    "eval_split": "val",
    "workers": 0,
    "threads": 2,
  }
  canvas, masks = ((192, 192),), "mask" in method
  config.transform = {
    "train": {
      "canvas": canvas,
      "scales": ((192, 192),),
      "scale_mode": "value",
      "flip": True,
      "max_objects": 8,
      "masks": masks,
    },
    "eval": {"canvas": canvas, "scale": (192, 192), "max_objects": 8, "masks": masks},
  }
  config.loss = {}
  config.optimizer = {
    "name": "adam",
    "learning_rate": 5e-4,
    "weight_decay": 0.0,
    "clip_norm": 10.0,
    "schedule": {"name": "poly", "power": 0.9},
  }
  config.train = {"epochs": 4, "steps": 0, "batch_size": 8, "accumulate": 1, "log_every": 20}
  config.train.watchdog = {"warn": 300.0, "abort": 0.0}
  config.eval = {"batch_size": 8, "every_epochs": 2, "pictures": 8}
  config.checkpoint = {"every_steps": 200, "keep_last": 2}
  return config
