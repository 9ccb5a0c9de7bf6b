"""HRNetV2-W18 on WFLW (98 landmarks) by the published recipe.

  python -m hrnet_jax.prepare --dataset=wflw --source=FOLDER
  python train.py --config=configs/landmarks/wflw_w18.py --workdir=runs/wflw \\
    --config.init_from=IMAGENET

IMAGENET is the converted HRNet-W18-C of the reference, from which all published results start
(docs/landmarks.md). Cost: 9.7 M parameters, 4.69 G multiply-accumulates an image forward; with the
backward pass about 6e15 for the 60 epochs.

Reference, NME in % of the inter-ocular distance: test 4.60, pose 7.86, expression 4.78,
illumination 4.57, makeup 4.26, occlusion 5.42, blur 5.36 (README of
HRNet/HRNet-Facial-Landmark-Detection). There as here the test split also chooses the best
checkpoint.
"""

import ml_collections


def get_config() -> ml_collections.ConfigDict:
  """Returns the experiment."""
  config = ml_collections.ConfigDict()
  config.seed = 0
  config.init_from = ""
  config.mesh = {"data": -1, "space": 1}
  config.model = {
    "task": "landmarks",
    "variant": "w18",
    "num_landmarks": 98,
    "upsample": "bilinear",
    "bn_momentum": 0.01,
    "dtype": "float32",
    "init": "normal_0.001",
    "bn_group_size": 0,
    "scan_layers": True,
    "remat": False,
  }
  config.data = {
    "name": "wflw",
    "data_dir": "",
    "train_split": "train",
    "eval_split": "test",
    "workers": 4,
    "threads": 2,
  }
  config.transform = {
    "train": {
      "crop": "reference",
      "crop_size": 256,
      "margin": 1.25,
      "stretch_shrunk": True,
      "scale_factor": 0.25,
      "rotation": 30.0,
      "rotation_probability": 0.6,
      "flip": True,
    },
    "eval": {"crop": "reference", "crop_size": 256, "margin": 1.25, "stretch_shrunk": True},
  }
  config.loss = {"targets": "rounded", "sigma": 1.5}
  config.optimizer = {
    "name": "adam",
    "learning_rate": 1e-4,
    "weight_decay": 0.0,
    "clip_norm": 0.0,
    "schedule": {"name": "step", "milestones": (30, 50), "factor": 0.1},
  }
  config.train = {"epochs": 60, "steps": 0, "batch_size": 16, "accumulate": 1, "log_every": 50}
  config.train.watchdog = {"warn": 300.0, "abort": 0.0}
  config.eval = {
    "batch_size": 16,
    "every_epochs": 1,
    "pictures": 8,
    "decoding": {"refine": "quarter", "flip": False},
    "scoring": {"normalizer": "", "threshold": 0.1},
  }
  config.checkpoint = {"every_steps": 500, "keep_last": 2}
  return config
