"""HRNetV2 on PASCAL-Context (59 classes, or 60 with the background), by the reference's recipes.

  hrnet prepare --dataset=pascal_context --source=FOLDER
  hrnet convert --config=classification/imagenet:w48 \\
    --torch=hrnetv2_w48_imagenet_pretrained.pth --output=imagenet_w48
  hrnet train --config=segmentation/pascal_context:w48 --workdir=runs/pascal_context_w48 \\
    --config.init_from=imagenet_w48

The argument is a network and words: `cls60` with the background (--dataset=pascal_context60), `ocr`
the object-contextual head, `ohem` hard example mining, `paddle` from the weights of PaddlePaddle
(SSLD; --torch=HRNet_W48_C_ssld_pretrained.pth), `ocrbranch` the recipe of branch HRNet-OCR for the
plain head, which `ocr` and `paddle` imply: crops of 520 pixels, and ten times the rate for the
head. The others are of branches master and pytorch-v1.1, with crops of 480 pixels.

Cost of a crop forward: w48 82.5 G multiply-accumulates, w48_ocrbranch 98.5 G, w48_ocr 170.5 G;
62,475 steps of 16 crops.

Reference, mIoU in % on val, seven scales (0.5 to 2) and flip (README of
HRNet/HRNet-Semantic-Segmentation, branches master and HRNet-OCR):

  w48             54.1
  w48_cls60       48.3
  w48_ocrbranch   54.1
  w48_paddle      none published; only the first weights differ from w48_ocrbranch
  w48_ocr         56.2
  w48_ocr_cls60   50.1

Validation in training stretches image and label to 480x480, as the reference does; in the recipe of
branch HRNet-OCR it looks at the centre of the images, where the reference crops at random.
"""

import ml_collections

from configs import common
from configs.segmentation.common import (
  OHEM,
  WORDS,
  protocol,
  published,
  short_side_520,
  use_ocr,
)

EXPERIMENTS = (
  "w48",
  "w48_cls60",
  "w48_ocrbranch",
  "w48_paddle",
  "w48_ocr",
  "w48_ocr_cls60",
)


def get_config(name: str = "w48") -> ml_collections.ConfigDict:
  """Returns the experiment.

  Args:
    name: a network and words, such as `w48_ocr_cls60`.

  Raises:
    ValueError: it is no such name.
  """
  variant, words = common.parse(name, "w48", (*WORDS, "cls60", "paddle", "ocrbranch"))
  with_background = "cls60" in words
  data = "pascal_context60" if with_background else "pascal_context"
  config = published(variant, data, num_classes=60 if with_background else 59)
  config.transform.train.update({"crop_size": (480, 480), "base_size": 520})
  config.optimizer.update({"learning_rate": 4e-3, "weight_decay": 1e-4})
  config.train.update({"epochs": 200, "batch_size": 16})
  if words & {"ocr", "paddle", "ocrbranch"}:
    short_side_520(config)
    config.model.bn_momentum = 0.1
    config.optimizer.update({"learning_rate": 1e-3, "multipliers": {"head": 10.0}})
  else:
    config.transform.eval.update({"resize": (480, 480), "size": (480, 480)})
    config.eval.batch_size = 64
    config.eval.protocol = protocol(crop_size=(480, 480))
  if "ocr" in words:
    use_ocr(config)
  if "ohem" in words:
    config.loss.ohem = OHEM
  return config
