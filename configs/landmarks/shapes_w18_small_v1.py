"""HRNetV2-W18-small-v1 finds the five landmarks of kites: it learns in minutes on a CPU.

  python train.py --config=configs/landmarks/shapes_w18_small_v1.py --workdir=runs/kites

Needs no data: examples are the kites of the built-in `shapes`. Cost: about
four minutes on two cores.
"""

import ml_collections

from configs.landmarks import face68_w18_small_v1


def get_config() -> ml_collections.ConfigDict:
  """Returns the experiment."""
  config = face68_w18_small_v1.get_config()
  config.model.num_landmarks = 5
  config.data.name = "shapes"
  config.transform.train.crop_size = config.transform.eval.crop_size = 64
  config.train.epochs = 20
  config.eval.every_epochs = 5
  return config
