"""HRNetV2-W18-small-v1 on Cityscapes (19 classes), trained on train: the recipe of branches master
and pytorch-v1.1.

  python -m hrnet_jax.prepare --dataset=cityscapes --source=FOLDER
  python -m hrnet_jax.convert --config=configs/classification/imagenet_w18_small_v1.py \\
    --torch=hrnet_w18_small_model_v1.pth --output=imagenet_w18_small_v1
  python train.py --workdir=runs/cityscapes_w18_small_v1 --config.init_from=imagenet_w18_small_v1 \\
    --config=configs/segmentation/cityscapes/seg_hrnet_w18_small_v1_512x1024_sgd_lr1e_2_wd5e_4_bs_12_epoch484.py

Cost: 8.3 G multiply-accumulates a crop forward; 119,992 steps of 12 crops. Reference: mIoU
70.3 % on val, one scale, no flip (README of HRNet/HRNet-Semantic-Segmentation).
"""

import ml_collections

from configs.segmentation.cityscapes import (
  seg_hrnet_w48_train_512x1024_sgd_lr1e_2_wd5e_4_bs_12_epoch484 as base,
)


def get_config() -> ml_collections.ConfigDict:
  """Returns the experiment."""
  config = base.get_config()
  config.model.variant = "w18_small_v1"
  return config
