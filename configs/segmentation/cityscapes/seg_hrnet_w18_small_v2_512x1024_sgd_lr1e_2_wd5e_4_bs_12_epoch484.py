"""HRNetV2-W18-small-v2 on Cityscapes (19 classes), trained on train: the recipe of branches master
and pytorch-v1.1.

  python -m hrnet_jax.prepare --dataset=cityscapes --source=FOLDER
  python -m hrnet_jax.convert --config=configs/classification/imagenet_w18_small_v2.py \\
    --torch=hrnet_w18_small_model_v2.pth --output=imagenet_w18_small_v2
  python train.py --workdir=runs/cityscapes_w18_small_v2 --config.init_from=imagenet_w18_small_v2 \\
    --config=configs/segmentation/cityscapes/seg_hrnet_w18_small_v2_512x1024_sgd_lr1e_2_wd5e_4_bs_12_epoch484.py

Cost: 19.2 G multiply-accumulates a crop forward; 119,992 steps of 12 crops. Reference: mIoU
76.2 % on val, one scale, no flip (README of HRNet/HRNet-Semantic-Segmentation).
"""

import ml_collections

from configs.segmentation.cityscapes import (
  seg_hrnet_w48_train_512x1024_sgd_lr1e_2_wd5e_4_bs_12_epoch484 as base,
)


def get_config() -> ml_collections.ConfigDict:
  """Returns the experiment."""
  config = base.get_config()
  config.model.variant = "w18_small_v2"
  return config
