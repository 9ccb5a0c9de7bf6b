"""The classification of single shapes with a tiny network; for `--config=`."""

import ml_collections

from configs.classification import shapes


def get_config() -> ml_collections.ConfigDict:
  """Twenty steps at 32x32; validation at the last."""
  config = shapes.get_config()
  config.model = {
    "task": "classification",
    "num_classes": 5,
    "width": 4,
    "modules": (1, 1, 1),
    "blocks": 1,
    "bottlenecks": 1,
    "bottleneck_width": 4,
    "upsample": "nearest",
    "bn_momentum": 0.1,
    "dtype": "float32",
    "init": "kaiming",
  }
  config.transform.train.crop_size = (32, 32)
  config.transform.eval = {"crop_size": (32, 32), "resize": 32}
  config.optimizer.learning_rate = 0.002
  config.train.update({"epochs": 0, "steps": 20, "batch_size": 16})
  config.eval.every_epochs = 100
  return config
