"""HRNetV2-W18-small-v1 on a folder of your own: `images/`, `labels/` and `classes.txt`.

  python -m hrnet_jax.prepare --dataset=image_folder_segmentation --source=FOLDER
  python train.py --config=configs/segmentation/image_folder_w18_small_v1.py --workdir=runs/own \\
    --config.model.num_classes=3

Labels are PNG files of class ids, 255 where unknown. Cost: depends on the folder; 60 epochs of
500 photos take about an hour on two cores. Start from a converted checkpoint with
`--config.init_from=FOLDER` where there is one; a few hundred photos are little for a network.
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
    "num_classes": 2,
    "upsample": "bilinear",
    "bn_momentum": 0.1,
    "dtype": "float32",
    "init": "kaiming",
    "bn_group_size": 0,
    "scan_layers": True,
    "remat": False,
  }
  config.data = {
    "name": "image_folder_segmentation",
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
  config.train = {"epochs": 60, "steps": 0, "batch_size": 8, "accumulate": 1, "log_every": 20}
  config.train.watchdog = {"warn": 300.0, "abort": 0.0}
  config.eval = {"batch_size": 8, "every_epochs": 2, "pictures": 8}
  config.checkpoint = {"every_steps": 200, "keep_last": 2}
  return config
