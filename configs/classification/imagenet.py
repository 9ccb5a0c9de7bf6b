"""HRNet-C on ImageNet (1000 classes) by the published recipe.

  hrnet prepare --dataset=image_folder_classification/imagenet --source=FOLDER
  hrnet train --config=classification/imagenet:w18 --workdir=runs/imagenet_w18

The argument is the network, `w18` by default. FOLDER holds train/WORDNET_ID/*.JPEG and
val/WORDNET_ID/*.JPEG. Where TFDS has prepared ImageNet as ArrayRecord files:
--config.data.name=imagenet2012 --config.data.data_dir=TFDS_FOLDER.

Cost, and reference (single centre crop; README of HRNet/HRNet-Image-Classification):

  network        parameters   GMACs an image   top-1 error %   top-5 error %
  w18_small_v1       13.2 M             1.60            27.7             9.3
  w18_small_v2       15.6 M             2.60            24.9             7.6
  w18                21.3 M             4.28            23.2             6.6
  w30                37.7 M             8.11            21.8             5.8
  w32                41.2 M             8.92            21.5             5.8
  w40                57.6 M            12.69            21.1             5.5
  w44                67.1 M            14.88            21.1             5.6
  w48                77.5 M            17.28            20.7             5.5
  w64               128.1 M            28.90            20.5             5.4

With the backward pass w18 takes about 1.6e18 multiply-accumulates for the 100 epochs. The reference
normalises over the 32 images of each of its four GPUs; here BatchNorm sees all 128. It keeps the
last, partial batch of an epoch, which here goes on with the next epoch.
"""

import ml_collections

from configs import common
from configs.classification.common import base

EXPERIMENTS = ("w18", *(x for x in common.VARIANTS if x != "w18"))


def get_config(name: str = "w18") -> ml_collections.ConfigDict:
  """Returns the experiment.

  Args:
    name: a network.

  Raises:
    ValueError: it is none.
  """
  variant, _ = common.parse(name, "w18")
  config = base(variant, "image_folder_classification/imagenet", num_classes=1000)
  config.data.workers = 8
  config.transform.train.update({"crop_size": (224, 224), "sampling": "linear_swap"})
  config.transform.eval.update({"crop_size": (224, 224), "resize": 256})
  config.optimizer.learning_rate = 0.05
  config.train.update({"epochs": 100, "batch_size": 128, "log_every": 100})
  config.eval.update({"batch_size": 128, "pictures": 8})
  config.checkpoint.every_steps = 2000
  return config
