"""HRNetV2-W48 on Cityscapes (19 classes), trained on train: the recipe of branches master and
pytorch-v1.1.

  python -m hrnet_jax.prepare --dataset=cityscapes --source=FOLDER
  python -m hrnet_jax.convert --config=configs/classification/imagenet_w48.py \\
    --torch=hrnetv2_w48_imagenet_pretrained.pth --output=imagenet_w48
  python train.py --workdir=runs/cityscapes_w48 --config.init_from=imagenet_w48 \\
    --config=configs/segmentation/cityscapes/seg_hrnet_w48_train_512x1024_sgd_lr1e_2_wd5e_4_bs_12_epoch484.py

Cost: 186.9 G multiply-accumulates a crop forward; 119,992 steps of 12 crops. Reference: mIoU
80.9 % (master) and 81.1 % (pytorch-v1.1) on val, one scale, no flip (README of
HRNet/HRNet-Semantic-Segmentation).

The reference has 247 steps an epoch, as it drops the last, partial batch; here it goes on with
the next epoch.
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
    "num_classes": 19,
    "upsample": "bilinear",
    "bn_momentum": 0.01,
    "dtype": "float32",
    "init": "normal_0.001",
    "bn_group_size": 0,
    "scan_layers": True,
    "remat": False,
  }
  config.data = {
    "name": "cityscapes",
    "data_dir": "",
    "train_split": "train",
    "eval_split": "val",
    "workers": 8,
    "threads": 2,
  }
  config.transform = {
    "train": {
      "crop_size": (512, 1024),
      "base_size": 2048,
      "scale_factor": 16,
      "flip": True,
    },
    "eval": {},
  }
  config.loss = {"ignore": 255, "class_weights": "dataset"}
  config.optimizer = {
    "name": "sgd",
    "learning_rate": 0.01,
    "momentum": 0.9,
    "weight_decay": 5e-4,
    "clip_norm": 0.0,
    "schedule": {"name": "poly", "power": 0.9},
  }
  config.train = {"epochs": 484, "steps": 0, "batch_size": 12, "accumulate": 1, "log_every": 20}
  config.train.watchdog = {"warn": 300.0, "abort": 0.0}
  config.eval = {
    "batch_size": 16,
    "every_epochs": 1,
    "pictures": 8,
    "protocol": {
      "kind": "whole",
      "base_size": 2048,
      "crop_size": (1024, 2048),
      "scales": (1.0,),
      "flip": False,
    },
  }
  config.checkpoint = {"every_steps": 500, "keep_last": 2}
  return config
