"""Blocks that the landmark configs share.

`base` is for small runs from scratch, `published` for the recipes of
HRNet/HRNet-Facial-Landmark-Detection.
"""

import ml_collections

from configs import common


def base(variant: str, data: str, *, num_landmarks: int) -> ml_collections.ConfigDict:
  """A recipe of our own, free of the reference's rounding; crops of 128 pixels.

  Args:
    variant: of the network.
    data: name of the data set.
    num_landmarks: of it.
  """
  config = common.base("landmarks", variant, data, num_landmarks=num_landmarks, representation="v2")
  config.model.init = "normal_0.001"
  crop = {
    "crop": "affine",
    "crop_size": 128,
    "margin": 1.25,  # side of the crop as a multiple of the object's
    "first_pixel": 0.0,
    "stretch_shrunk": True,
  }
  config.transform.train = crop | {
    "scale_factor": 0.25,
    "rotation": 30.0,
    "rotation_probability": 0.6,
    "flip": True,
    "flip_pairs": None,  # those of the data set
  }
  config.transform.eval = crop
  config.loss = {"targets": "gaussian", "sigma": 1.5}
  config.optimizer = common.optimizer(common.ADAM, common.POLY, learning_rate=2e-3)
  config.train.update({"epochs": 10, "batch_size": 16, "log_every": 20})
  config.eval.update({"batch_size": 16})
  config.eval.decoding = {"refine": "dark", "flip": False}
  config.eval.scoring = {"normalizer": "", "threshold": 0.1}
  config.checkpoint.every_steps = 200
  return config


def published(variant: str, data: str, *, num_landmarks: int) -> ml_collections.ConfigDict:
  """The reference's recipe: whole cells, crops of 256 pixels, Adam with two steps of the rate."""
  config = base(variant, data, num_landmarks=num_landmarks)
  config.model.bn_momentum = 0.01
  config.data.update({"workers": 4, "eval_split": "test"})
  for transform in config.transform.values():
    transform.update({"crop": "reference", "crop_size": 256})
  config.loss.targets = "rounded"
  config.optimizer = common.optimizer(
    common.ADAM, {"name": "step", "milestones": (30, 50), "factor": 0.1}
  )
  config.train.update({"epochs": 60, "log_every": 50})
  config.eval.decoding.refine = "quarter"
  config.checkpoint.every_steps = 500
  return config
