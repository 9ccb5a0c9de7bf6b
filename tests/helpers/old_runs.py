"""Runs that an earlier version of this code began, continued by today's.

  python -m tests.helpers.old_runs NAME WORKDIR

trains on from the newest checkpoint of WORKDIR. A program of its own, because the runs were made on
one device and with all of the compiler's optimisation.
"""

import pathlib
import sys

from absl import flags
import ml_collections

from configs.landmarks import shapes
from tests.helpers import toy, toy_classification, toy_detection


def segmentation() -> ml_collections.ConfigDict:
  """Two modules and blocks in each stage, computed in loops."""
  config = _common(toy.get_config())
  config.model.update({"modules": (1, 2, 2), "blocks": 2, "bottlenecks": 2, "scan_layers": True})
  return config


def ocr() -> ml_collections.ConfigDict:
  """Two outputs, hard examples in groups, rematerialisation, and parts of a batch."""
  config = _common(toy.get_config())
  config.model.update(
    {"head": "ocr", "upsample": "bilinear_aligned", "remat": True, "bn_group_size": 4}
  )
  config.loss = {
    "ignore": 255,
    "aux_weights": (0.4, 1.0),
    "class_weights": (1.0, 0.5, 2.0),
    "ohem": {"threshold": 0.4, "min_kept": 500, "num_groups": 2},
  }
  config.train.accumulate = 2
  return config


def classification() -> ml_collections.ConfigDict:
  """The toy's."""
  return _common(toy_classification.get_config())


def landmarks() -> ml_collections.ConfigDict:
  """The toy's trunk on the built-in scenes."""
  config = _common(shapes.get_config())
  model = {key: x for key, x in toy.MODEL.items() if key not in ("task", "num_classes")}
  count = config.model.num_landmarks
  config.model = {**model, "task": "landmarks", "num_landmarks": count}
  for options in config.transform.values():
    options.crop_size = 64
  config.train.batch_size = config.eval.batch_size = 8
  return config


def detection() -> ml_collections.ConfigDict:
  """Boxes and masks."""
  return _common(toy_detection.get_config("mask_rcnn"))


RUNS = {x.__name__: x for x in (segmentation, ocr, classification, landmarks, detection)}


def _common(config: ml_collections.ConfigDict) -> ml_collections.ConfigDict:
  """Four steps, of which the old code took two."""
  config.train.update({"epochs": 0, "steps": 4, "log_every": 1})
  config.checkpoint.update({"every_steps": 2, "keep_last": 5})
  config.eval.update({"pictures": 0, "every_epochs": 1000})
  config.data.update({"workers": 0, "threads": 0})
  return config


if __name__ == "__main__":
  from hrnet_jax.training import loop

  flags.FLAGS.mark_as_parsed()  # grain reads flags that only app.run would parse
  loop.train(RUNS[sys.argv[1]](), pathlib.Path(sys.argv[2]))
