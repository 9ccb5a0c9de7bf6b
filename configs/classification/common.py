"""Blocks that the classification configs share; source: HRNet/HRNet-Image-Classification."""

import ml_collections

from configs import common


def base(variant: str, data: str, *, num_classes: int) -> ml_collections.ConfigDict:
  """Everything but crops, rate and length.

  Args:
    variant: of the network.
    data: name of the data set.
    num_classes: of it.
  """
  config = common.base("classification", variant, data, num_classes=num_classes)
  config.model.upsample = "nearest"
  config.transform.train = {
    "crop_size": (64, 64),
    "area": (0.08, 1.0),  # of the crop, as shares of the image
    "aspect": (3 / 4, 4 / 3),
    "sampling": "log_uniform",
    "flip": True,
  }
  config.transform.eval = {"crop_size": (64, 64), "resize": 64}
  config.loss = {"label_smoothing": 0.0}
  config.optimizer = common.optimizer(
    common.SGD,
    {"name": "step", "milestones": (30, 60, 90), "factor": 0.1},
    learning_rate=0.02,
    nesterov=True,
    weight_decay=1e-4,
  )
  config.train.log_every = 10
  config.eval.pictures = 16
  config.checkpoint.every_steps = 200
  return config
