"""HRNetV2-W18-small-v1 on the built-in shapes: a real network learns in a few minutes on a CPU.

  hrnet train --config=quickstart --workdir=runs/quickstart

Needs no data. Cost: about four minutes on two cores; validation mIoU above 0.85.
"""

import ml_collections

from configs import common
from configs.segmentation.common import base


def get_config() -> ml_collections.ConfigDict:
  """Returns the experiment."""
  config = base("w18_small_v1", "shapes", num_classes=6)
  config.transform.train.update({"crop_size": (128, 128), "base_size": 128, "scale_factor": None})
  config.optimizer = common.optimizer(common.ADAM, common.POLY, learning_rate=2e-3)
  config.train.update({"epochs": 12, "batch_size": 16, "log_every": 25})
  config.eval.update({"batch_size": 16, "every_epochs": 6})
  config.checkpoint.every_steps = 200
  return config
