"""HRNetV2 on Cityscapes (19 classes), by the reference's recipes.

  hrnet prepare --dataset=cityscapes --source=FOLDER
  hrnet convert --config=classification/imagenet:w48 \\
    --torch=hrnetv2_w48_imagenet_pretrained.pth --output=imagenet_w48
  hrnet train --config=segmentation/cityscapes:w48 --workdir=runs/cityscapes_w48 \\
    --config.init_from=imagenet_w48

The argument is a network and words: `ocr` the object-contextual head, `ohem` hard example mining,
`trainval` training on train and val together, `paddle` from the weights of PaddlePaddle (SSLD;
--torch=HRNet_W48_C_ssld_pretrained.pth), `bs8` batches of 8, `ocrbranch` the recipe of branch
HRNet-OCR for the plain head, which `ocr` and `paddle` imply; the others are of branches master and
pytorch-v1.1.

Cost of a crop forward: w48 186.9 G multiply-accumulates, w48_ocr 324.5 G, w18_small_v1 8.3 G,
w18_small_v2 19.2 G; 119,992 steps of 12 crops; w48_ocr_paddle 89,994 of 16, w48_paddle_bs8 179,988
of 8. With `trainval` the plain head goes on for 140,159 steps on train and val, with `ocr` there
are 140,159 on them alone.

Reference, mIoU in % on val, one scale, no flip (README of HRNet/HRNet-Semantic-Segmentation):

  w18_small_v1             70.3      from hrnet_w18_small_model_v1.pth
  w18_small_v2             76.2      from hrnet_w18_small_model_v2.pth
  w48                      80.9 (master), 81.1 (pytorch-v1.1)
  w48_ohem                 81.2 (master)
  w48_trainval             81.5 on test, six scales and flip (master)
  w48_trainval_ohem        81.9 on test, six scales and flip (master)
  w48_ocrbranch            80.9      from hrnetv2_w48_imagenet_pretrained_top1_21.pth
  w48_ohem_ocrbranch       none published in that branch
  w48_trainval_ocrbranch   none published in that branch
  w48_trainval_ohem_ocrbranch  none published in that branch
  w48_paddle               81.6, with 8 or 12 crops a step
  w48_paddle_bs8           the same; the reference's file is named bs_16, but lists four GPUs with
                           two crops each
  w48_ocr                  81.6
  w48_ocr_trainval         82.3 on test, six scales and flip
  w48_ocr_paddle           none published

The reference has 247 steps an epoch, as it drops the last, partial batch; here it goes on with the
next epoch. After 484 epochs on train, `trainval` of the plain head goes on with the same optimizer
for 484 on train and val together.
"""

import ml_collections

from configs import common
from configs.segmentation.common import OHEM, WORDS, protocol, published, use_ocr

EXPERIMENTS = (
  "w48",
  "w48_ohem",
  "w48_trainval",
  "w48_trainval_ohem",
  "w18_small_v1",
  "w18_small_v2",
  "w48_ocrbranch",
  "w48_ohem_ocrbranch",
  "w48_trainval_ocrbranch",
  "w48_trainval_ohem_ocrbranch",
  "w48_paddle",
  "w48_paddle_bs8",
  "w48_ocr",
  "w48_ocr_trainval",
  "w48_ocr_paddle",
)


def get_config(name: str = "w48") -> ml_collections.ConfigDict:
  """Returns the experiment.

  Args:
    name: a network and words, such as `w48_ocr_ohem_trainval`.

  Raises:
    ValueError: it is no such name.
  """
  variant, words = common.parse(name, "w48", (*WORDS, "trainval", "paddle", "bs8", "ocrbranch"))
  config = published(variant, "cityscapes", num_classes=19)
  config.transform.train.update({"crop_size": (512, 1024), "base_size": 2048})
  config.loss.class_weights = "dataset"
  config.train.update({"epochs": 484, "batch_size": 12})
  config.eval.protocol = protocol(kind="whole", base_size=2048, crop_size=(1024, 2048))
  if words & {"ocr", "paddle", "ocrbranch"}:
    config.model.bn_momentum = 0.1
    config.eval.batch_size = 12
  if "ocr" in words:
    use_ocr(config)
  if {"ocr", "paddle"} <= words:
    config.train.batch_size = config.eval.batch_size = 16
  if "bs8" in words:
    config.train.batch_size = config.eval.batch_size = 8
  if "ohem" in words:
    config.loss.ohem = OHEM
  if {"ocr", "trainval"} <= words:
    config.data.train_split = "trainval"
  elif "trainval" in words:
    config.train.fine_tune = {"epochs": 484, "split": "trainval", "learning_rate": 0.001}
  return config
