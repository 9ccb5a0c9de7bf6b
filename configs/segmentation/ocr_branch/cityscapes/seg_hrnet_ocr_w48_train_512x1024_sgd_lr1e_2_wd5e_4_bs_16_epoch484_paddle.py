"""HRNetV2-W48 with the OCR head on Cityscapes (19 classes) from the weights of PaddlePaddle (SSLD):
the recipe of branch HRNet-OCR.

  python -m hrnet_jax.prepare --dataset=cityscapes --source=FOLDER
  python -m hrnet_jax.convert --config=configs/classification/imagenet_w48.py \\
    --torch=HRNet_W48_C_ssld_pretrained.pth --output=ssld_w48
  python train.py --workdir=runs/cityscapes_ocr_w48_paddle --config.init_from=ssld_w48 \\
    --config=configs/segmentation/ocr_branch/cityscapes/seg_hrnet_ocr_w48_train_512x1024_sgd_lr1e_2_wd5e_4_bs_16_epoch484_paddle.py

Cost: 324.5 G multiply-accumulates a crop forward; 89,994 steps of 16 crops. Reference: none
published for this code.
"""

import ml_collections

from configs.segmentation.cityscapes import (
  seg_hrnet_w48_train_512x1024_sgd_lr1e_2_wd5e_4_bs_12_epoch484 as base,
)


def get_config() -> ml_collections.ConfigDict:
  """Returns the experiment."""
  config = base.get_config()
  config.model.update(bn_momentum=0.1, head="ocr", upsample="bilinear_aligned")
  config.loss.aux_weights = (0.4, 1.0)
  config.train.batch_size = 16
  config.eval.batch_size = 16
  return config
