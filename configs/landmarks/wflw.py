"""HRNetV2 on WFLW (98 landmarks) by the published recipe.

  hrnet prepare --dataset=wflw --source=FOLDER
  hrnet train --config=landmarks/wflw:w18 --workdir=runs/wflw --config.init_from=IMAGENET

The argument is the network, `w18` by default. IMAGENET is the converted HRNet-W18-C of the
reference, from which all published results start. Cost of w18: 9.7 M parameters, 4.69 G
multiply-accumulates an image forward; with the backward pass about 6e15 for the 60 epochs.

Reference, NME in % of the inter-ocular distance: test 4.60, pose 7.86, expression 4.78,
illumination 4.57, makeup 4.26, occlusion 5.42, blur 5.36 (README of
HRNet/HRNet-Facial-Landmark-Detection). There as here the test split also chooses the best
checkpoint.
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
  return published(variant, "wflw", num_landmarks=98)
