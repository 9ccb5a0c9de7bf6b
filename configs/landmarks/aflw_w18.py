"""HRNetV2-W18 on AFLW (19 landmarks) by the published recipe, that of `wflw_w18`.

  python -m hrnet_jax.prepare --dataset=aflw --source=FOLDER
  python train.py --config=configs/landmarks/aflw_w18.py --workdir=runs/aflw \\
    --config.init_from=IMAGENET

For IMAGENET see `wflw_w18.py`. Cost: 9.6 M parameters, 4.61 G multiply-accumulates an image
forward; with the backward pass about 1.7e16 for the 60 epochs. Reference, NME in % of the box's
side: full 1.57, frontal 1.46 (README of HRNet/HRNet-Facial-Landmark-Detection).
"""

import ml_collections

from configs.landmarks import wflw_w18


def get_config() -> ml_collections.ConfigDict:
  """Returns the experiment."""
  config = wflw_w18.get_config()
  config.model.num_landmarks = 19
  config.data.update({"name": "aflw", "eval_split": "full"})
  config.optimizer.learning_rate = 2e-4
  config.eval.scoring.threshold = 0.07  # as papers give it for errors divided by the box
  return config
