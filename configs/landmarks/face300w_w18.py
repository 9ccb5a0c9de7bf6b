"""HRNetV2-W18 on 300W (68 landmarks) by the published recipe, that of `wflw_w18`.

  python -m hrnet_jax.prepare --dataset=face300w --source=FOLDER
  python train.py --config=configs/landmarks/face300w_w18.py --workdir=runs/face300w \\
    --config.init_from=IMAGENET

For IMAGENET see `wflw_w18.py`; `--config.data.eval_split=full_and_test` scores the private test
images in the same run. Cost: 9.7 M parameters, 4.66 G multiply-accumulates an image forward; with
the backward pass about 2.6e15 for the 60 epochs. Reference, NME in % of the inter-ocular distance:
full 3.34, common 2.91, challenge 5.11, test 3.85 (README of HRNet/HRNet-Facial-Landmark-Detection).
"""

import ml_collections

from configs.landmarks import wflw_w18


def get_config() -> ml_collections.ConfigDict:
  """Returns the experiment."""
  config = wflw_w18.get_config()
  config.model.num_landmarks = 68
  config.data.update({"name": "face300w", "eval_split": "full"})
  config.loss.sigma = 1.0
  config.eval.scoring.threshold = 0.08
  return config
