"""HRNetV2-W18-small-v1 on CamVid (11 classes), from scratch.

  hrnet prepare --dataset=camvid --source=FOLDER
  hrnet train --config=segmentation/camvid --workdir=runs/camvid

The argument is a network and perhaps `ocr`, for the object-contextual head: `w18_small_v1` by
default, `w18_small_v1_ocr` with two outputs, their weights and the aligned interpolation of the
reference's branch HRNet-OCR; no score is published for it.

Cost: `w18_small_v1` about 40 minutes on two cores; 1,377 steps of 8 crops, 2.4 G
multiply-accumulates a crop forward, with `ocr` 21.4 G. The recipe is the reference's (crop 320x480,
scale 0.5 to 1.6, flip, SGD 0.02, poly schedule), so that the learning curves can be compared.
"""

import ml_collections

from configs import common
from configs.segmentation.common import base, use_ocr

EXPERIMENTS = ("w18_small_v1", "w18_small_v1_ocr")


def get_config(name: str = "w18_small_v1") -> ml_collections.ConfigDict:
  """Returns the experiment.

  Args:
    name: a network and perhaps `ocr`.

  Raises:
    ValueError: it is no such name.
  """
  variant, words = common.parse(name, "w18_small_v1", ("ocr",))
  config = base(variant, "camvid", num_classes=11)
  config.transform.train.update({"crop_size": (320, 480), "base_size": 480, "scale_factor": 11})
  config.optimizer.learning_rate = 0.02
  config.train.update({"epochs": 30, "batch_size": 8})
  config.eval.update({"batch_size": 8, "pictures": 4})
  config.checkpoint.every_steps = 100
  if "ocr" in words:
    use_ocr(config)
  return config
