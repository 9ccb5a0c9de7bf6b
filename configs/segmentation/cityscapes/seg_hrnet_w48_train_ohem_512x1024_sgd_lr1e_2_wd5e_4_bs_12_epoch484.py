"""HRNetV2-W48 on Cityscapes (19 classes) with hard example mining: the recipe of branches master
and pytorch-v1.1.

  python -m hrnet_jax.prepare --dataset=cityscapes --source=FOLDER
  python -m hrnet_jax.convert --config=configs/classification/imagenet_w48.py \\
    --torch=hrnetv2_w48_imagenet_pretrained.pth --output=imagenet_w48
  python train.py --workdir=runs/cityscapes_w48_train_ohem --config.init_from=imagenet_w48 \\
    --config=configs/segmentation/cityscapes/seg_hrnet_w48_train_ohem_512x1024_sgd_lr1e_2_wd5e_4_bs_12_epoch484.py

Cost: 186.9 G multiply-accumulates a crop forward; 119,992 steps of 12 crops. Reference: mIoU
81.2 % on val, one scale, no flip (README of HRNet/HRNet-Semantic-Segmentation, branch master).
"""

import ml_collections

from configs.segmentation.cityscapes import (
  seg_hrnet_w48_train_512x1024_sgd_lr1e_2_wd5e_4_bs_12_epoch484 as base,
)


def get_config() -> ml_collections.ConfigDict:
  """Returns the experiment."""
  config = base.get_config()
  config.loss.ohem = {"threshold": 0.9, "min_kept": 131072, "num_groups": 4}
  return config
