"""HRNet-W18-C-Small-v1 names single shapes (5 classes): it learns in minutes on a CPU.

  hrnet train --config=classification/shapes --workdir=runs/shapes

Needs no data: examples are the objects of the built-in `shapes`, 64x64 pixels. The argument is
another network, as in `classification/shapes:w18`; `w18_small_v1` by default. Cost: about four
minutes on two cores.
"""

import ml_collections

from configs import common
from configs.classification.common import base

EXPERIMENTS = ("w18_small_v1",)


def get_config(name: str = "w18_small_v1") -> ml_collections.ConfigDict:
  """Returns the experiment.

  Args:
    name: a network.

  Raises:
    ValueError: it is none.
  """
  variant, _ = common.parse(name, "w18_small_v1")
  config = base(variant, "shapes", num_classes=5)
  config.transform.train.area = (0.5, 1.0)
  config.optimizer.schedule.milestones = (2,)
  config.train.update({"epochs": 3, "batch_size": 64})
  config.eval.batch_size = 64
  return config
