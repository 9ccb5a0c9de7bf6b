"""HRNetV2-W48 with the OCR head on PASCAL-Context (59 classes): the recipe of branch HRNet-OCR.

  python -m hrnet_jax.prepare --dataset=pascal_context --source=FOLDER
  python -m hrnet_jax.convert --config=configs/classification/imagenet_w48.py \\
    --torch=hrnetv2_w48_imagenet_pretrained.pth --output=imagenet_w48
  python train.py --workdir=runs/pascal_context_ocr_w48 --config.init_from=imagenet_w48 \\
    --config=configs/segmentation/ocr_branch/pascal_ctx/seg_hrnet_ocr_w48_cls59_520x520_sgd_lr1e_3_wd1e_4_bs_16_epoch200.py

Cost: 170.5 G multiply-accumulates a crop forward; 62,475 steps of 16 crops. Reference: mIoU
56.2 % on val, seven scales (0.5 to 2) and flip (README of HRNet/HRNet-Semantic-Segmentation,
branch HRNet-OCR).
"""

import ml_collections

from configs.segmentation.ocr_branch.pascal_ctx import (
  seg_hrnet_w48_cls59_520x520_sgd_lr1e_3_wd1e_4_bs_16_epoch200 as base,
)


def get_config() -> ml_collections.ConfigDict:
  """Returns the experiment."""
  config = base.get_config()
  config.model.update(head="ocr", upsample="bilinear_aligned")
  config.loss.aux_weights = (0.4, 1.0)
  return config
