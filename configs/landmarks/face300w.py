"""HRNetV2 on 300W (68 landmarks) by the published recipe, that of `landmarks/wflw`.

  hrnet prepare --dataset=face300w --source=FOLDER
  hrnet train --config=landmarks/face300w:w18 --workdir=runs/face300w --config.init_from=IMAGENET

The argument is the network, `w18` by default; for IMAGENET see `landmarks/wflw`.
`--config.data.eval_split=full_and_test` scores the private test images in the same run. Cost of
w18: 9.7 M parameters, 4.66 G multiply-accumulates an image forward; with the backward pass about
2.6e15 for the 60 epochs.

Reference, NME in % of the inter-ocular distance: full 3.34, common 2.91, challenge 5.11, test 3.85
(README of HRNet/HRNet-Facial-Landmark-Detection).
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
  config = published(variant, "face300w", num_landmarks=68)
  config.data.eval_split = "full"
  config.loss.sigma = 1.0
  config.eval.scoring.threshold = 0.08
  return config
