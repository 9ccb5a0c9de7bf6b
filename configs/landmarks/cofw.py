"""HRNetV2 on COFW (29 landmarks) by the published recipe, that of `landmarks/wflw`.

  hrnet prepare --dataset=cofw --source=FOLDER
  hrnet train --config=landmarks/cofw:w18 --workdir=runs/cofw --config.init_from=IMAGENET

The argument is the network, `w18` by default; for IMAGENET see `landmarks/wflw`. Cost of w18: 9.6 M
parameters, 4.62 G multiply-accumulates an image forward; with the backward pass about 1.1e15 for
the 60 epochs.

Reference: NME 3.45 % of the inter-ocular distance, and 0.20 % of the images above 10 % (README of
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
  config = published(variant, "cofw", num_landmarks=29)
  # The reference holds these images as bytes, and stretches only those that it holds as floats.
  config.transform.train.stretch_shrunk = False
  config.transform.eval.stretch_shrunk = False
  return config
