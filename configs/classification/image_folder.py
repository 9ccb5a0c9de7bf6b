"""HRNet-W18-C-Small-v1 on photos of your own: a folder for each class.

  hrnet prepare --dataset=image_folder_classification --source=FOLDER
  hrnet train --config=classification/image_folder --workdir=runs/own --config.model.num_classes=3

The argument is another network, as in `classification/image_folder:w18`; `w18_small_v1` by default.
Crops have 64 pixels; larger ones take `--config.transform.train.crop_size="(224,224)"`, the same of
`transform.eval`, and `--config.transform.eval.resize=256`. Cost: depends on the folder; 45 epochs
of 184 images took five and a half minutes of CPU time. Start from a converted checkpoint with
`--config.init_from=FOLDER` where there is one; a few hundred photos are little for a network.
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
  config = base(variant, "image_folder_classification", num_classes=2)
  config.transform.train.area = (0.4, 1.0)
  config.transform.eval.resize = 72
  config.loss.label_smoothing = 0.1
  config.optimizer.schedule.milestones = (30, 40)
  config.train.update({"epochs": 45, "batch_size": 32})
  config.eval.update({"batch_size": 32, "every_epochs": 5})
  return config
