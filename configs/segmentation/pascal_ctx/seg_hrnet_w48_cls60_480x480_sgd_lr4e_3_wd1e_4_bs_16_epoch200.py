"""HRNetV2-W48 on PASCAL-Context (60 classes, with the background): the recipe of branches master
and pytorch-v1.1.

  python -m hrnet_jax.prepare --dataset=pascal_context60 --source=FOLDER
  python -m hrnet_jax.convert --config=configs/classification/imagenet_w48.py \\
    --torch=hrnetv2_w48_imagenet_pretrained.pth --output=imagenet_w48
  python train.py --workdir=runs/pascal_context60_w48 --config.init_from=imagenet_w48 \\
    --config=configs/segmentation/pascal_ctx/seg_hrnet_w48_cls60_480x480_sgd_lr4e_3_wd1e_4_bs_16_epoch200.py

Cost: 82.5 G multiply-accumulates a crop forward; 62,475 steps of 16 crops. Reference: mIoU
48.3 % on val, seven scales (0.5 to 2) and flip (README of HRNet/HRNet-Semantic-Segmentation,
branch master).
"""

import ml_collections

from configs.segmentation.pascal_ctx import (
  seg_hrnet_w48_cls59_480x480_sgd_lr4e_3_wd1e_4_bs_16_epoch200 as base,
)


def get_config() -> ml_collections.ConfigDict:
  """Returns the experiment."""
  config = base.get_config()
  config.model.num_classes = 60
  config.data.name = "pascal_context60"
  return config
