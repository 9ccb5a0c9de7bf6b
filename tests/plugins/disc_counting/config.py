"""Counts discs with a tiny network.

hrnet train --config=config.py --workdir=runs/discs
"""

import ml_collections


def get_config() -> ml_collections.ConfigDict:
  """Forty steps; checkpoints at 20 and 40."""
  config = ml_collections.ConfigDict()
  config.plugins = ("disc_counting",)
  config.seed = 0
  config.init_from = ""
  config.mesh = {"data": -1, "space": 1}
  config.model = {
    "task": "disc_counting",
    "channels": 1,
    "width": 4,
    "modules": (1, 1, 1),
    "blocks": 1,
    "bottlenecks": 1,
    "bottleneck_width": 4,
  }
  config.data = {
    "name": "discs",
    "data_dir": "",
    "train_split": "train",
    "eval_split": "val",
    "workers": 0,
    "threads": 1,
    "normalize": {"mean": (0.2,), "std": (0.25,)},
  }
  config.transform = {"train": {"flip": True}, "eval": {}}
  config.loss = {}
  config.optimizer = {
    "name": "adam",
    "learning_rate": 0.01,
    "weight_decay": 0.0,
    "clip_norm": 0.0,
    "schedule": {"name": "constant"},
  }
  config.train = {"epochs": 0, "steps": 40, "batch_size": 8, "accumulate": 1, "log_every": 10}
  config.eval = {"batch_size": 8, "every_epochs": 10, "pictures": 1}
  config.checkpoint = {"every_steps": 20, "keep_last": 2}
  return config
