"""HRNetV2 on LIP (20 classes of people's parts and clothes), by the reference's recipes.

  hrnet prepare --dataset=lip --source=FOLDER
  hrnet convert --config=classification/imagenet:w48 \\
    --torch=hrnetv2_w48_imagenet_pretrained.pth --output=imagenet_w48
  hrnet train --config=segmentation/lip:w48 --workdir=runs/lip_w48 \\
    --config.init_from=imagenet_w48

The argument is a network and words: `ocr` the object-contextual head, `ohem` hard example mining,
`paddle` from the weights of PaddlePaddle (SSLD; --torch=HRNet_W48_C_ssld_pretrained.pth),
`ocrbranch` the recipe of branch HRNet-OCR for the plain head, which `ocr` and `paddle` imply; the
others are of branches master and pytorch-v1.1.

Cost of a crop forward: w48 81.6 G multiply-accumulates, w48_ocr 141.1 G; 114,233 steps of 40 crops.

Reference, mIoU in % on val, with flip (README of HRNet/HRNet-Semantic-Segmentation):

  w48             56.04 (master), 55.8 (pytorch-v1.1)
  w48_ocrbranch   55.83
  w48_paddle      none published
  w48_ocr         56.48, under PyTorch 0.4.1 only; from hrnetv2_w48_imagenet_pretrained_2.pth

Validation in training looks at the first 2,000 images, stretched with their labels to 473x473;
`hrnet eval` at all of them and the labels at their own size.
"""

import ml_collections

from configs import common
from configs.segmentation.common import OHEM, WORDS, protocol, published, use_ocr

EXPERIMENTS = ("w48", "w48_ocrbranch", "w48_paddle", "w48_ocr")
SIZE = (473, 473)
PAIRS = ((14, 15), (16, 17), (18, 19))  # left and right arms, legs and shoes


def get_config(name: str = "w48") -> ml_collections.ConfigDict:
  """Returns the experiment.

  Args:
    name: a network and words, such as `w48_ocr`.

  Raises:
    ValueError: it is no such name.
  """
  variant, words = common.parse(name, "w48", (*WORDS, "paddle", "ocrbranch"))
  config = published(variant, "lip", num_classes=20)
  config.transform.train.update(
    {"crop_size": SIZE, "base_size": 473, "scale_factor": 11, "flip_pairs": PAIRS, "resize": SIZE}
  )
  config.transform.eval.update({"resize": SIZE, "size": SIZE})
  config.optimizer.learning_rate = 7e-3
  config.train.update({"epochs": 150, "batch_size": 40})
  config.eval.update({"batch_size": 64, "examples": 2000})
  config.eval.protocol = protocol(
    base_size=473, crop_size=SIZE, flip=True, flip_pairs=PAIRS, resize=SIZE
  )
  if words & {"ocr", "paddle", "ocrbranch"}:
    config.model.bn_momentum = 0.1
    config.eval.batch_size = 40
  if "ocr" in words:
    use_ocr(config)
  if "ohem" in words:
    config.loss.ohem = OHEM
  return config
