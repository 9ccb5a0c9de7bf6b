"""HRNetV2 finds the 68 landmarks of face68 (video frames), from scratch.

  hrnet prepare --dataset=face68 --source=FOLDER
  hrnet train --config=landmarks/face68:w18_small_v1 --workdir=runs/face68

The argument is the network. `w18_small_v1`, the default, learns in minutes on a CPU. Cost: about 17
minutes on two cores; NME on `val` 5.2 % of the inter-ocular distance.

`w18` and larger ones take the recipe of `landmarks/wflw`, for an accelerator. Cost of w18: 9.7 M
parameters, 4.66 G multiply-accumulates an image forward; with the backward pass about 2.6e15 for
the 60 epochs. Crop, targets and decoding are free of the reference's rounding, which costs much on
faces of 60 pixels. From scratch it takes a higher rate than the reference, which starts from
ImageNet; with `--config.init_from=IMAGENET` (see `landmarks/wflw`) set
`--config.optimizer.learning_rate=1e-4`.
"""

import ml_collections

from configs import common
from configs.landmarks.common import base, published

EXPERIMENTS = ("w18_small_v1", "w18")


def get_config(name: str = "w18_small_v1") -> ml_collections.ConfigDict:
  """Returns the experiment.

  Args:
    name: a network.

  Raises:
    ValueError: it is none.
  """
  variant, _ = common.parse(name, "w18_small_v1")
  if "small" in variant:
    return base(variant, "face68", num_landmarks=68)
  config = published(variant, "face68", num_landmarks=68)
  config.model.bn_momentum = 0.1
  config.data.eval_split = "val"
  config.transform.train.crop = config.transform.eval.crop = "affine"
  config.loss.targets = "gaussian"
  config.optimizer.learning_rate = 1e-3
  config.eval.decoding.refine = "dark"
  return config
