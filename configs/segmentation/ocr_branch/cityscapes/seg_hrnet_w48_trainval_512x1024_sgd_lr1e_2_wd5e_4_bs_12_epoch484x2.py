"""HRNetV2-W48 on Cityscapes (19 classes) in two phases: the recipe of branch HRNet-OCR.

  python -m hrnet_jax.prepare --dataset=cityscapes --source=FOLDER
  python -m hrnet_jax.convert --config=configs/classification/imagenet_w48.py \\
    --torch=hrnetv2_w48_imagenet_pretrained.pth --output=imagenet_w48
  python train.py --workdir=runs/cityscapes_o_w48_trainval --config.init_from=imagenet_w48 \\
    --config=configs/segmentation/ocr_branch/cityscapes/seg_hrnet_w48_trainval_512x1024_sgd_lr1e_2_wd5e_4_bs_12_epoch484x2.py

Cost: 186.9 G multiply-accumulates a crop forward; 119,992 steps of 12 crops, then 140,159 on
train and val together. Reference: none published in this branch; mIoU 81.5 % on test in branch
master (README of HRNet/HRNet-Semantic-Segmentation).

After 484 epochs on train the same optimizer goes on for 484 on train and val together.
"""

import ml_collections

from configs.segmentation.cityscapes import (
  seg_hrnet_w48_train_512x1024_sgd_lr1e_2_wd5e_4_bs_12_epoch484 as base,
)


def get_config() -> ml_collections.ConfigDict:
  """Returns the experiment."""
  config = base.get_config()
  config.model.bn_momentum = 0.1
  config.train.fine_tune = {"epochs": 484, "split": "trainval", "learning_rate": 0.001}
  config.eval.batch_size = 12
  return config
