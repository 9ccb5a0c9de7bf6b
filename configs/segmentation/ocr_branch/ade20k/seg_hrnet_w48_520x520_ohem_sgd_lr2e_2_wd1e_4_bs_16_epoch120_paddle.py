"""HRNetV2-W48 on ADE20K (150 classes) with hard example mining, from the weights of PaddlePaddle
(SSLD): the recipe of branch HRNet-OCR.

  python -m hrnet_jax.prepare --dataset=ade20k --source=FOLDER
  python -m hrnet_jax.convert --config=configs/classification/imagenet_w48.py \\
    --torch=HRNet_W48_C_ssld_pretrained.pth --output=ssld_w48
  python train.py --workdir=runs/ade20k_w48_ohem_paddle --config.init_from=ssld_w48 \\
    --config=configs/segmentation/ocr_branch/ade20k/seg_hrnet_w48_520x520_ohem_sgd_lr2e_2_wd1e_4_bs_16_epoch120_paddle.py

Cost: 99.6 G multiply-accumulates a crop forward; 151,575 steps of 16 crops. Reference: none
published for this code.
"""

import ml_collections

from configs.segmentation.ocr_branch.ade20k import (
  seg_hrnet_w48_520x520_sgd_lr2e_2_wd1e_4_bs_16_epoch120 as base,
)


def get_config() -> ml_collections.ConfigDict:
  """Returns the experiment."""
  config = base.get_config()
  config.loss.ohem = {"threshold": 0.9, "min_kept": 131072, "num_groups": 8}
  return config
