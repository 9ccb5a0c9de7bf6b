"""HRNetV2-W18-small-v1 on CamVid (11 classes), from scratch.

  python -m hrnet_jax.prepare --dataset=camvid --source=FOLDER
  python train.py --config=configs/segmentation/camvid_w18_small_v1.py --workdir=runs/camvid

Cost: about 40 minutes on two cores. The recipe is the reference's (crop 320x480, scale 0.5 to
1.6, flip, SGD 0.02, poly schedule), so that the learning curves can be compared.
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
    "num_classes": 11,
    "upsample": "bilinear",
    "bn_momentum": 0.1,
    "dtype": "float32",
    "init": "kaiming",
    "bn_group_size": 0,
    "scan_layers": True,
    "remat": False,
  }
  config.data = {
    "name": "camvid",
    "data_dir": "",
    "train_split": "train",
    "eval_split": "val",
    "workers": 0,
    "threads": 2,
  }
  config.transform = {
    "train": {"crop_size": (320, 480), "base_size": 480, "scale_factor": 11, "flip": True},
    "eval": {},
  }
  config.loss = {"ignore": 255}
  config.optimizer = {
    "name": "sgd",
    "learning_rate": 0.02,
    "momentum": 0.9,
    "weight_decay": 5e-4,
    "clip_norm": 0.0,
    "schedule": {"name": "poly", "power": 0.9},
  }
  config.train = {"epochs": 30, "steps": 0, "batch_size": 8, "accumulate": 1, "log_every": 20}
  config.train.watchdog = {"warn": 300.0, "abort": 0.0}
  config.eval = {"batch_size": 8, "every_epochs": 1, "pictures": 4}
  config.checkpoint = {"every_steps": 100, "keep_last": 2}
  return config
