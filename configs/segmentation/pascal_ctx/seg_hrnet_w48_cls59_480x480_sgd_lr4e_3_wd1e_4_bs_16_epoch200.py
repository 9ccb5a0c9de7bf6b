"""HRNetV2-W48 on PASCAL-Context (59 classes): the recipe of branches master and pytorch-v1.1.

  python -m hrnet_jax.prepare --dataset=pascal_context --source=FOLDER
  python -m hrnet_jax.convert --config=configs/classification/imagenet_w48.py \\
    --torch=hrnetv2_w48_imagenet_pretrained.pth --output=imagenet_w48
  python train.py --workdir=runs/pascal_context_w48 --config.init_from=imagenet_w48 \\
    --config=configs/segmentation/pascal_ctx/seg_hrnet_w48_cls59_480x480_sgd_lr4e_3_wd1e_4_bs_16_epoch200.py

Cost: 82.5 G multiply-accumulates a crop forward; 62,475 steps of 16 crops. Reference: mIoU
54.1 % on val, seven scales (0.5 to 2) and flip (README of HRNet/HRNet-Semantic-Segmentation,
branch master).

Validation in training stretches image and label to 480x480, as the reference does.
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
    "variant": "w48",
    "num_classes": 59,
    "upsample": "bilinear",
    "bn_momentum": 0.01,
    "dtype": "float32",
    "init": "normal_0.001",
    "bn_group_size": 0,
    "scan_layers": True,
    "remat": False,
  }
  config.data = {
    "name": "pascal_context",
    "data_dir": "",
    "train_split": "train",
    "eval_split": "val",
    "workers": 8,
    "threads": 2,
  }
  config.transform = {
    "train": {
      "crop_size": (480, 480),
      "base_size": 520,
      "scale_factor": 16,
      "flip": True,
    },
    "eval": {"resize": (480, 480), "size": (480, 480)},
  }
  config.loss = {"ignore": 255}
  config.optimizer = {
    "name": "sgd",
    "learning_rate": 4e-3,
    "momentum": 0.9,
    "weight_decay": 1e-4,
    "clip_norm": 0.0,
    "schedule": {"name": "poly", "power": 0.9},
  }
  config.train = {"epochs": 200, "steps": 0, "batch_size": 16, "accumulate": 1, "log_every": 20}
  config.train.watchdog = {"warn": 300.0, "abort": 0.0}
  config.eval = {
    "batch_size": 64,
    "every_epochs": 1,
    "pictures": 8,
    "protocol": {
      "kind": "windows",
      "base_size": 520,
      "crop_size": (480, 480),
      "scales": (1.0,),
      "flip": False,
    },
  }
  config.checkpoint = {"every_steps": 500, "keep_last": 2}
  return config
