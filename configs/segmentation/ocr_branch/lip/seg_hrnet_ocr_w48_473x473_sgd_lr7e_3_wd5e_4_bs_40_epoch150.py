"""HRNetV2-W48 with the OCR head on LIP (20 classes of people's parts and clothes): the recipe of
branch HRNet-OCR.

  python -m hrnet_jax.prepare --dataset=lip --source=FOLDER
  python -m hrnet_jax.convert --config=configs/classification/imagenet_w48.py \\
    --torch=hrnetv2_w48_imagenet_pretrained_2.pth --output=imagenet_w48
  python train.py --workdir=runs/lip_ocr_w48 --config.init_from=imagenet_w48 \\
    --config=configs/segmentation/ocr_branch/lip/seg_hrnet_ocr_w48_473x473_sgd_lr7e_3_wd5e_4_bs_40_epoch150.py

Cost: 141.1 G multiply-accumulates a crop forward; 114,233 steps of 40 crops. Reference: mIoU
56.48 % on val, with flip, and under PyTorch 0.4.1 only (README of
HRNet/HRNet-Semantic-Segmentation, branch HRNet-OCR).
"""

import ml_collections

from configs.segmentation.lip import seg_hrnet_w48_473x473_sgd_lr7e_3_wd5e_4_bs_40_epoch150 as base


def get_config() -> ml_collections.ConfigDict:
  """Returns the experiment."""
  config = base.get_config()
  config.model.update(bn_momentum=0.1, head="ocr", upsample="bilinear_aligned")
  config.loss.aux_weights = (0.4, 1.0)
  config.eval.batch_size = 40
  return config
