"""HRNetV2-W18 on face68 (68 landmarks, video frames), from scratch; the recipe of `wflw_w18`.

  python -m hrnet_jax.prepare --dataset=face68 --source=FOLDER
  python train.py --config=configs/landmarks/face68_w18.py --workdir=runs/face68_w18

Cost: 9.7 M parameters, 4.66 G multiply-accumulates an image forward; with the backward pass about
2.6e15 for the 60 epochs: for an accelerator. `face68_w18_small_v1.py` is for a CPU. Crop, targets
and decoding are free of the reference's rounding, which costs much on faces of 60 pixels. From
scratch it takes a higher rate than the reference, which starts from ImageNet; with
`--config.init_from=IMAGENET` (see `wflw_w18.py`) set `--config.optimizer.learning_rate=1e-4`.
"""

import ml_collections

from configs.landmarks import wflw_w18


def get_config() -> ml_collections.ConfigDict:
  """Returns the experiment."""
  config = wflw_w18.get_config()
  config.model.update({"num_landmarks": 68, "bn_momentum": 0.1})
  config.data.update({"name": "face68", "eval_split": "val"})
  config.transform.train.crop = config.transform.eval.crop = "affine"
  config.loss.targets = "gaussian"
  config.optimizer.learning_rate = 1e-3
  config.eval.decoding.refine = "dark"
  return config
