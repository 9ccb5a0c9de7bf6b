"""HRNetV2-W48 with the OCR head on COCO-Stuff-10k (171 classes) with hard example mining, from the
weights of PaddlePaddle (SSLD): the recipe of branch HRNet-OCR.

  python -m hrnet_jax.prepare --dataset=cocostuff10k --source=FOLDER
  python -m hrnet_jax.convert --config=configs/classification/imagenet_w48.py \\
    --torch=HRNet_W48_C_ssld_pretrained.pth --output=ssld_w48
  python train.py --workdir=runs/cocostuff_ocr_w48_paddle --config.init_from=ssld_w48 \\
    --config=configs/segmentation/ocr_branch/cocostuff/seg_hrnet_ocr_w48_520x520_ohem_sgd_lr1e_3_wd1e_4_bs_16_epoch110_paddle.py

Cost: 174.8 G multiply-accumulates a crop forward; 61,875 steps of 16 crops. Reference: none
published for this code.
"""

import ml_collections

from configs.segmentation.ocr_branch.cocostuff import (
  seg_hrnet_w48_520x520_sgd_lr1e_3_wd1e_4_bs_16_epoch110 as base,
)


def get_config() -> ml_collections.ConfigDict:
  """Returns the experiment."""
  config = base.get_config()
  config.model.head = "ocr"
  config.loss.update(
    aux_weights=(0.4, 1.0), ohem={"threshold": 0.9, "min_kept": 131072, "num_groups": 8}
  )
  return config
