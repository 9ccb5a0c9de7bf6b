"""HRNetV2-W48 on PASCAL-Context (59 classes) from the weights of PaddlePaddle (SSLD): the recipe of
branch HRNet-OCR.

  python -m hrnet_jax.prepare --dataset=pascal_context --source=FOLDER
  python -m hrnet_jax.convert --config=configs/classification/imagenet_w48.py \\
    --torch=HRNet_W48_C_ssld_pretrained.pth --output=ssld_w48
  python train.py --workdir=runs/pascal_context_ocr_branch_w48_paddle --config.init_from=ssld_w48 \\
    --config=configs/segmentation/ocr_branch/pascal_ctx/seg_hrnet_w48_cls59_520x520_sgd_lr1e_3_wd1e_4_bs_16_epoch200_paddle.py

Cost: 98.5 G multiply-accumulates a crop forward; 62,475 steps of 16 crops. Reference: none
published for this code. The recipe is that of the base; only the first weights differ.
"""

import ml_collections

from configs.segmentation.ocr_branch.pascal_ctx import (
  seg_hrnet_w48_cls59_520x520_sgd_lr1e_3_wd1e_4_bs_16_epoch200 as base,
)


def get_config() -> ml_collections.ConfigDict:
  """Returns the experiment."""
  return base.get_config()
