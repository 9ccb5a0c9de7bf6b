"""HRNet-W18-C on ImageNet (1000 classes) by the published recipe.

  python -m hrnet_jax.prepare --dataset=image_folder_classification/imagenet --source=FOLDER
  python train.py --config=configs/classification/imagenet_w18.py --workdir=runs/imagenet_w18

FOLDER holds train/WORDNET_ID/*.JPEG and val/WORDNET_ID/*.JPEG. Where TFDS has prepared ImageNet as
ArrayRecord files: --config.data.name=imagenet2012 --config.data.data_dir=TFDS_FOLDER.

Cost: 21.3 M parameters, 4.28 G multiply-accumulates an image forward; with the backward pass about
1.6e18 for the 100 epochs. Reference: top-1 error 23.2 %, top-5 error 6.6 % (single centre crop;
README of HRNet/HRNet-Image-Classification).

The reference normalises over the 32 images of each of its four GPUs; here BatchNorm sees all 128.
It keeps the last, partial batch of an epoch, which here goes on with the next epoch.
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
    "variant": "w18",
    "num_classes": 1000,
    "upsample": "nearest",
    "bn_momentum": 0.1,
    "dtype": "float32",
    "init": "kaiming",
    "bn_group_size": 0,
    "scan_layers": True,
    "remat": False,
  }
  config.data = {
    "name": "image_folder_classification/imagenet",
    "data_dir": "",
    "train_split": "train",
    "eval_split": "val",
    "workers": 8,
    "threads": 2,
  }
  config.transform = {
    "train": {"crop_size": (224, 224), "area": (0.08, 1.0), "sampling": "linear_swap"},
    "eval": {"crop_size": (224, 224), "resize": 256},
  }
  config.loss = {"label_smoothing": 0.0}
  config.optimizer = {
    "name": "sgd",
    "learning_rate": 0.05,
    "momentum": 0.9,
    "nesterov": True,
    "weight_decay": 1e-4,
    "clip_norm": 0.0,
    "schedule": {"name": "step", "milestones": (30, 60, 90), "factor": 0.1},
  }
  config.train = {"epochs": 100, "steps": 0, "batch_size": 128, "accumulate": 1, "log_every": 100}
  config.train.watchdog = {"warn": 300.0, "abort": 0.0}
  config.eval = {"batch_size": 128, "every_epochs": 1, "pictures": 8}
  config.checkpoint = {"every_steps": 2000, "keep_last": 2}
  return config
