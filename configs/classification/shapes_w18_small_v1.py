"""HRNet-W18-C-Small-v1 names single shapes (5 classes): it learns in minutes on a CPU.

  python train.py --config=configs/classification/shapes_w18_small_v1.py --workdir=runs/shapes

Needs no data: examples are the objects of the built-in `shapes`, 64x64 pixels. Cost: about
four minutes on two cores.
"""

import ml_collections


def get_config() -> ml_collections.ConfigDict:
  """Returns the experiment."""
  config = ml_collections.ConfigDict()
  config.seed = 0
  config.init_from = ""
  config.mesh = {"data": -1, "space": 1}
  config.model = {
    "task": "classification",
    "variant": "w18_small_v1",
    "num_classes": 5,
    "upsample": "nearest",
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
    "train": {"crop_size": (64, 64), "area": (0.5, 1.0), "sampling": "log_uniform"},
    "eval": {"crop_size": (64, 64), "resize": 64},
  }
  config.loss = {"label_smoothing": 0.0}
  config.optimizer = {
    "name": "sgd",
    "learning_rate": 0.02,
    "momentum": 0.9,
    "nesterov": True,
    "weight_decay": 1e-4,
    "clip_norm": 0.0,
    "schedule": {"name": "step", "milestones": (2,), "factor": 0.1},
  }
  config.train = {"epochs": 3, "steps": 0, "batch_size": 64, "accumulate": 1, "log_every": 10}
  config.train.watchdog = {"warn": 300.0, "abort": 0.0}
  config.eval = {"batch_size": 64, "every_epochs": 1, "pictures": 16}
  config.checkpoint = {"every_steps": 200, "keep_last": 2}
  return config
