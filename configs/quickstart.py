"""HRNetV2-W18-small-v1 on the built-in shapes: a real network learns in a few minutes on a CPU.

  python train.py --config=configs/quickstart.py --workdir=runs/quickstart

Needs no data. Cost: about four minutes on two cores; validation mIoU above 0.85.
"""

import ml_collections


def get_config() -> ml_collections.ConfigDict:
  """Returns the experiment."""
  config = ml_collections.ConfigDict()
  config.seed = 0
  config.init_from = ""
  config.mesh = {"data": -1, "space": 1}
  config.model = {
    "task": "segmentation",
    "variant": "w18_small_v1",
    "num_classes": 6,
    "upsample": "bilinear",
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
  config.transform = {
    "train": {"crop_size": (128, 128), "base_size": 128, "scale_factor": None, "flip": True},
    "eval": {},
  }
  config.loss = {"ignore": 255}
  config.optimizer = {
    "name": "adam",
    "learning_rate": 2e-3,
    "weight_decay": 0.0,
    "clip_norm": 0.0,
    "schedule": {"name": "poly", "power": 0.9},
  }
  config.train = {"epochs": 12, "steps": 0, "batch_size": 16, "accumulate": 1, "log_every": 25}
  config.train.watchdog = {"warn": 300.0, "abort": 0.0}
  config.eval = {"batch_size": 16, "every_epochs": 6, "pictures": 8}
  config.checkpoint = {"every_steps": 200, "keep_last": 2}
  return config
