"""HRNetV2 on COCO-Stuff-10k (171 classes), by the recipes of the reference's branch HRNet-OCR.

  hrnet prepare --dataset=cocostuff10k --source=FOLDER
  hrnet convert --config=classification/imagenet:w48 \\
    --torch=hrnetv2_w48_imagenet_pretrained.pth --output=imagenet_w48
  hrnet train --config=segmentation/cocostuff10k:w48_ocr_ohem --workdir=runs/cocostuff_ocr_w48 \\
    --config.init_from=imagenet_w48

The argument is a network and words: `ocr` the object-contextual head, `ohem` hard example mining,
`paddle` from the weights of PaddlePaddle (SSLD; --torch=HRNet_W48_C_ssld_pretrained.pth), for which
the reference used eight GPUs, on each of which it selects hard examples.

Cost of a crop forward: w48 99.8 G multiply-accumulates, w48_ocr_ohem 174.8 G; 61,875 steps of 16
crops.

Reference, mIoU in % on val at one scale without flip, and with seven scales (0.5 to 2) and flip
(README of HRNet/HRNet-Semantic-Segmentation, branch HRNet-OCR):

  w48                   none published without hard example mining
  w48_ohem              36.2, 37.9
  w48_ohem_paddle       none published
  w48_ocr_ohem          39.7, 40.6
  w48_ocr_ohem_paddle   none published

Validation in training looks at the centre of the images, where the reference crops at random, and
at 200 of them. The head learns at ten times the rate.
"""

import ml_collections

from configs import common
from configs.segmentation.common import OHEM, WORDS, published, short_side_520, use_ocr

EXPERIMENTS = (
  "w48",
  "w48_ohem",
  "w48_ohem_paddle",
  "w48_ocr_ohem",
  "w48_ocr_ohem_paddle",
)


def get_config(name: str = "w48_ohem") -> ml_collections.ConfigDict:
  """Returns the experiment.

  Args:
    name: a network and words, such as `w48_ocr_ohem`.

  Raises:
    ValueError: it is no such name.
  """
  variant, words = common.parse(name, "w48", (*WORDS, "paddle"))
  config = published(variant, "cocostuff10k", num_classes=171)
  short_side_520(config)
  config.model.update({"bn_momentum": 0.1, "upsample": "bilinear_aligned"})
  config.optimizer.update(
    {"learning_rate": 1e-3, "weight_decay": 1e-4, "multipliers": {"head": 10.0}}
  )
  config.train.update({"epochs": 110, "batch_size": 16})
  config.eval.examples = 200
  if "ocr" in words:
    use_ocr(config)
  if "ohem" in words:
    config.loss.ohem = OHEM | {"num_groups": 8 if "paddle" in words else 4}
  return config
