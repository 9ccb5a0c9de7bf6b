"""HRNetV2-W18 on COFW (29 landmarks) by the published recipe, that of `wflw_w18`.

  python -m hrnet_jax.prepare --dataset=cofw --source=FOLDER
  python train.py --config=configs/landmarks/cofw_w18.py --workdir=runs/cofw \\
    --config.init_from=IMAGENET

For IMAGENET see `wflw_w18.py`. Cost: 9.6 M parameters, 4.62 G multiply-accumulates an image
forward; with the backward pass about 1.1e15 for the 60 epochs. Reference: NME 3.45 % of the
inter-ocular distance, and 0.20 % of the images above 10 % (README of
HRNet/HRNet-Facial-Landmark-Detection).
"""

import ml_collections

from configs.landmarks import wflw_w18


def get_config() -> ml_collections.ConfigDict:
  """Returns the experiment."""
  config = wflw_w18.get_config()
  config.model.num_landmarks = 29
  config.data.name = "cofw"
  # The reference holds these images as bytes, and stretches only those that it holds as floats.
  config.transform.train.stretch_shrunk = False
  config.transform.eval.stretch_shrunk = False
  return config
