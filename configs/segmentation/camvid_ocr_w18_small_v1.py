"""HRNetV2-W18-small-v1 with the OCR head on CamVid (11 classes), from scratch.

  python -m hrnet_jax.prepare --dataset=camvid --source=FOLDER
  python train.py --config=configs/segmentation/camvid_ocr_w18_small_v1.py --workdir=runs/camvid_ocr

Cost: 21.4 G multiply-accumulates a crop forward, nine times those of `camvid_w18_small_v1`; 1,377
steps of 8 crops. The recipe is that config's, with the two outputs, their balance and the aligned
interpolation of the reference's branch HRNet-OCR. No score is published.
"""

import ml_collections

from configs.segmentation import camvid_w18_small_v1 as base


def get_config() -> ml_collections.ConfigDict:
  """Returns the experiment."""
  config = base.get_config()
  config.model.update(head="ocr", upsample="bilinear_aligned")
  config.loss.aux_weights = (0.4, 1.0)
  return config
