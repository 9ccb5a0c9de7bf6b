"""HRNetV2-W48 with the OCR head on Cityscapes (19 classes), trained on train and val together: the
recipe of branch HRNet-OCR.

  python -m hrnet_jax.prepare --dataset=cityscapes --source=FOLDER
  python -m hrnet_jax.convert --config=configs/classification/imagenet_w48.py \\
    --torch=hrnetv2_w48_imagenet_pretrained.pth --output=imagenet_w48
  python train.py --workdir=runs/cityscapes_ocr_w48_trainval --config.init_from=imagenet_w48 \\
    --config=configs/segmentation/ocr_branch/cityscapes/seg_hrnet_ocr_w48_trainval_512x1024_sgd_lr1e_2_wd5e_4_bs_12_epoch484.py

Cost: 324.5 G multiply-accumulates a crop forward; 140,159 steps of 12 crops. Reference: mIoU
82.3 % on test, six scales and flip (README of HRNet/HRNet-Semantic-Segmentation, branch
HRNet-OCR).
"""

import ml_collections

from configs.segmentation.cityscapes import (
  seg_hrnet_w48_train_512x1024_sgd_lr1e_2_wd5e_4_bs_12_epoch484 as base,
)


def get_config() -> ml_collections.ConfigDict:
  """Returns the experiment."""
  config = base.get_config()
  config.model.update(bn_momentum=0.1, head="ocr", upsample="bilinear_aligned")
  config.loss.aux_weights = (0.4, 1.0)
  config.data.train_split = "trainval"
  config.eval.batch_size = 12
  return config
