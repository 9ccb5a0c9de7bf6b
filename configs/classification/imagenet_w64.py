"""HRNet-W64-C on ImageNet (1000 classes) by the published recipe, that of `imagenet_w18`.

  python -m hrnet_jax.prepare --dataset=image_folder_classification/imagenet --source=FOLDER
  python train.py --config=configs/classification/imagenet_w64.py --workdir=runs/imagenet_w64

For FOLDER and what differs from the reference see `imagenet_w18.py`. Cost: 128.1 M parameters,
28.90 G multiply-accumulates an image forward. Reference: top-1 error 20.5 %, top-5 error 5.4 %
(single centre crop; README of HRNet/HRNet-Image-Classification).
"""

import ml_collections

from configs.classification import imagenet_w18


def get_config() -> ml_collections.ConfigDict:
  """Returns the experiment."""
  config = imagenet_w18.get_config()
  config.model.variant = "w64"
  return config
