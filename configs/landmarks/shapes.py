"""HRNetV2-W18-small-v1 finds the five landmarks of kites: it learns in minutes on a CPU.

  hrnet train --config=landmarks/shapes --workdir=runs/kites

Needs no data: examples are the kites of the built-in `shapes`. The argument is another network, as
in `landmarks/shapes:w18`; `w18_small_v1` by default. Cost: about four minutes on two cores.
"""

import ml_collections

from configs import common
from configs.landmarks.common import base

EXPERIMENTS = ("w18_small_v1",)


def get_config(name: str = "w18_small_v1") -> ml_collections.ConfigDict:
  """Returns the experiment.

  Args:
    name: a network.

  Raises:
    ValueError: it is none.
  """
  variant, _ = common.parse(name, "w18_small_v1")
  config = base(variant, "shapes", num_landmarks=5)
  config.transform.train.crop_size = config.transform.eval.crop_size = 64
  config.train.epochs = 20
  config.eval.every_epochs = 5
  return config
