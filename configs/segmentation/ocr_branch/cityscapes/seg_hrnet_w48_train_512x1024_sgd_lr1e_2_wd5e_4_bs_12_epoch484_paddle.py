"""HRNetV2-W48 on Cityscapes (19 classes) from the weights of PaddlePaddle (SSLD): the recipe of
branch HRNet-OCR.

  python -m hrnet_jax.prepare --dataset=cityscapes --source=FOLDER
  python -m hrnet_jax.convert --config=configs/classification/imagenet_w48.py \\
    --torch=HRNet_W48_C_ssld_pretrained.pth --output=ssld_w48
  python train.py --workdir=runs/cityscapes_o_w48_paddle --config.init_from=ssld_w48 \\
    --config=configs/segmentation/ocr_branch/cityscapes/seg_hrnet_w48_train_512x1024_sgd_lr1e_2_wd5e_4_bs_12_epoch484_paddle.py

Cost: 186.9 G multiply-accumulates a crop forward; 119,992 steps of 12 crops. Reference: mIoU
81.6 % on val, one scale, no flip, with 8 or 12 crops a step (README of
HRNet/HRNet-Semantic-Segmentation, branch HRNet-OCR).
"""

import ml_collections

from configs.segmentation.cityscapes import (
  seg_hrnet_w48_train_512x1024_sgd_lr1e_2_wd5e_4_bs_12_epoch484 as base,
)


def get_config() -> ml_collections.ConfigDict:
  """Returns the experiment."""
  config = base.get_config()
  config.model.bn_momentum = 0.1
  config.eval.batch_size = 12
  return config
