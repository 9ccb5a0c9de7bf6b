"""HRNetV2 on AFLW (19 landmarks) by the published recipe, that of `landmarks/wflw`.

  hrnet prepare --dataset=aflw --source=FOLDER
  hrnet train --config=landmarks/aflw:w18 --workdir=runs/aflw --config.init_from=IMAGENET

The argument is the network, `w18` by default; for IMAGENET see `landmarks/wflw`. Cost of w18: 9.6 M
parameters, 4.61 G multiply-accumulates an image forward; with the backward pass about 1.7e16 for
the 60 epochs.

Reference, NME in % of the box's side: full 1.57, frontal 1.46 (README of
HRNet/HRNet-Facial-Landmark-Detection).
"""

import ml_collections

from configs import common
from configs.landmarks.common import published

EXPERIMENTS = ("w18",)


def get_config(name: str = "w18") -> ml_collections.ConfigDict:
  """Returns the experiment.

  Args:
    name: a network.

  Raises:
    ValueError: it is none.
  """
  variant, _ = common.parse(name, "w18")
  config = published(variant, "aflw", num_landmarks=19)
  config.data.eval_split = "full"
  config.optimizer.learning_rate = 2e-4
  config.eval.scoring.threshold = 0.07  # as papers give it for errors divided by the box
  return config
