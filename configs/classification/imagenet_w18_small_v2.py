"""HRNet-W18-C-Small-v2 on ImageNet (1000 classes) by the published recipe, that of `imagenet_w18`.

  python -m hrnet_jax.prepare --dataset=image_folder_classification/imagenet --source=FOLDER
  python train.py --config=configs/classification/imagenet_w18_small_v2.py --workdir=runs/small_v2

For FOLDER and what differs from the reference see `imagenet_w18.py`. Cost: 15.6 M parameters,
2.60 G multiply-accumulates an image forward. Reference: top-1 error 24.9 %, top-5 error 7.6 %
(single centre crop; README of HRNet/HRNet-Image-Classification).
"""

import ml_collections

from configs.classification import imagenet_w18


def get_config() -> ml_collections.ConfigDict:
  """Returns the experiment."""
  config = imagenet_w18.get_config()
  config.model.variant = "w18_small_v2"
  return config
