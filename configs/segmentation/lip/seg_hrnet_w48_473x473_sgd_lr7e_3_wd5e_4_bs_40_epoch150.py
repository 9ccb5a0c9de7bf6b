"""HRNetV2-W48 on LIP (20 classes of people's parts and clothes): the recipe of branches master and
pytorch-v1.1.

  python -m hrnet_jax.prepare --dataset=lip --source=FOLDER
  python -m hrnet_jax.convert --config=configs/classification/imagenet_w48.py \\
    --torch=hrnetv2_w48_imagenet_pretrained.pth --output=imagenet_w48
  python train.py --workdir=runs/lip_w48 --config.init_from=imagenet_w48 \\
    --config=configs/segmentation/lip/seg_hrnet_w48_473x473_sgd_lr7e_3_wd5e_4_bs_40_epoch150.py

Cost: 81.6 G multiply-accumulates a crop forward; 114,233 steps of 40 crops. Reference: mIoU
56.04 % (master) and 55.8 % (pytorch-v1.1) on val, with flip (README of
HRNet/HRNet-Semantic-Segmentation).

Validation in training looks at the first 2,000 images, stretched with their labels to 473x473;
eval.py at all of them and the labels at their own size.
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
    "num_classes": 20,
    "upsample": "bilinear",
    "bn_momentum": 0.01,
    "dtype": "float32",
    "init": "normal_0.001",
    "bn_group_size": 0,
    "scan_layers": True,
    "remat": False,
  }
  config.data = {
    "name": "lip",
    "data_dir": "",
    "train_split": "train",
    "eval_split": "val",
    "workers": 8,
    "threads": 2,
  }
  config.transform = {
    "train": {
      "crop_size": (473, 473),
      "base_size": 473,
      "scale_factor": 11,
      "flip": True,
      "flip_pairs": ((14, 15), (16, 17), (18, 19)),
      "resize": (473, 473),
    },
    "eval": {"resize": (473, 473), "size": (473, 473)},
  }
  config.loss = {"ignore": 255}
  config.optimizer = {
    "name": "sgd",
    "learning_rate": 7e-3,
    "momentum": 0.9,
    "weight_decay": 5e-4,
    "clip_norm": 0.0,
    "schedule": {"name": "poly", "power": 0.9},
  }
  config.train = {"epochs": 150, "steps": 0, "batch_size": 40, "accumulate": 1, "log_every": 20}
  config.train.watchdog = {"warn": 300.0, "abort": 0.0}
  config.eval = {
    "batch_size": 64,
    "every_epochs": 1,
    "pictures": 8,
    "examples": 2000,
    "protocol": {
      "kind": "windows",
      "base_size": 473,
      "crop_size": (473, 473),
      "scales": (1.0,),
      "flip": True,
      "flip_pairs": ((14, 15), (16, 17), (18, 19)),
      "resize": (473, 473),
    },
  }
  config.checkpoint = {"every_steps": 500, "keep_last": 2}
  return config
