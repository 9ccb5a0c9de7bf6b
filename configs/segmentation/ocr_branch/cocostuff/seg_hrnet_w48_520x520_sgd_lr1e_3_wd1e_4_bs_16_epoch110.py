"""HRNetV2-W48 on COCO-Stuff-10k (171 classes): the recipe of branch HRNet-OCR.

  python -m hrnet_jax.prepare --dataset=cocostuff10k --source=FOLDER
  python -m hrnet_jax.convert --config=configs/classification/imagenet_w48.py \\
    --torch=hrnetv2_w48_imagenet_pretrained.pth --output=imagenet_w48
  python train.py --workdir=runs/cocostuff_w48 --config.init_from=imagenet_w48 \\
    --config=configs/segmentation/ocr_branch/cocostuff/seg_hrnet_w48_520x520_sgd_lr1e_3_wd1e_4_bs_16_epoch110.py

Cost: 99.8 G multiply-accumulates a crop forward; 61,875 steps of 16 crops. Reference: none
published without hard example mining.

Validation in training looks at the centre of the images, where the reference crops at random,
and at 200 of them. The head learns at ten times the rate.
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
    "num_classes": 171,
    "upsample": "bilinear_aligned",
    "bn_momentum": 0.1,
    "dtype": "float32",
    "init": "normal_0.001",
    "bn_group_size": 0,
    "scan_layers": True,
    "remat": False,
  }
  config.data = {
    "name": "cocostuff10k",
    "data_dir": "",
    "train_split": "train",
    "eval_split": "val",
    "workers": 8,
    "threads": 2,
  }
  config.transform = {
    "train": {
      "crop_size": (520, 520),
      "base_size": 520,
      "scale_factor": 16,
      "flip": True,
      "short_side": 520,
    },
    "eval": {"short_side": 520, "center_crop": (520, 520), "size": (520, 520)},
  }
  config.loss = {"ignore": 255}
  config.optimizer = {
    "name": "sgd",
    "learning_rate": 1e-3,
    "momentum": 0.9,
    "weight_decay": 1e-4,
    "clip_norm": 0.0,
    "multipliers": {"head": 10.0},
    "schedule": {"name": "poly", "power": 0.9},
  }
  config.train = {"epochs": 110, "steps": 0, "batch_size": 16, "accumulate": 1, "log_every": 20}
  config.train.watchdog = {"warn": 300.0, "abort": 0.0}
  config.eval = {
    "batch_size": 16,
    "every_epochs": 1,
    "pictures": 8,
    "examples": 200,
    "protocol": {
      "kind": "windows",
      "base_size": 520,
      "crop_size": (520, 520),
      "scales": (1.0,),
      "flip": False,
      "short_side": 520,
    },
  }
  config.checkpoint = {"every_steps": 500, "keep_last": 2}
  return config
