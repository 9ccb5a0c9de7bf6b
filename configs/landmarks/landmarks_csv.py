"""HRNetV2-W18-small-v1 on your own photos: tables of landmarks and a folder of images.

  hrnet prepare --dataset=landmarks_csv --source=FOLDER
  hrnet train --config=landmarks/landmarks_csv --workdir=runs/own --config.model.num_landmarks=5

The argument is another network, as in `landmarks/landmarks_csv:w18`; `w18_small_v1` by default.
Without flip_pairs.txt add `--config.transform.train.flip=False`. Cost: depends on the folder; 60
epochs of 500 objects take about ten minutes on two cores. Start from a converted checkpoint with
`--config.init_from=FOLDER` where there is one; a few hundred photos are little for a network.
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
  config = base(variant, "landmarks_csv", num_landmarks=5)
  config.train.epochs = 60
  config.eval.every_epochs = 5
  return config
