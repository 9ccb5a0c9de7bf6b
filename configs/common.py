"""Blocks that all configs share, with every key that a config may leave as it is.

A config starts with `base`, sets what is its own, and so has all keys that the command line may
set. An empty value stands for the default of whoever reads it.
"""

from collections.abc import Collection
from typing import Any

import ml_collections

# The published networks, as in `hrnet_jax.models.backbone.VARIANTS`.
VARIANTS = (
  "w18_small_v1",
  "w18_small_v2",
  "w18",
  "w30",
  "w32",
  "w40",
  "w44",
  "w48",
  "w64",
)  # fmt: skip
SGD = {"name": "sgd", "learning_rate": 0.01, "momentum": 0.9, "weight_decay": 5e-4}
ADAM = {"name": "adam", "learning_rate": 1e-4, "weight_decay": 0.0}
POLY = {"name": "poly", "power": 0.9}


def base(task: str, variant: str, data: str, **model: Any) -> ml_collections.ConfigDict:
  """The blocks that do not depend on the task; `transform` and `loss` are empty.

  Args:
    task: value of `model.task`.
    variant: one of `VARIANTS`.
    data: name of the data set.
    **model: further keys of `model`.
  """
  config = ml_collections.ConfigDict()
  config.seed = 0
  config.init_from = ""  # a checkpoint to take weights from
  config.plugins = ()  # modules that add tasks and data sets
  config.mesh = {"data": -1, "space": 1}  # devices; -1 is all that there are
  config.model = {
    "task": task,
    "variant": variant,
    "upsample": "bilinear",
    "channels": 3,  # of the input
    "norm": "batch",
    "bn_momentum": 0.1,
    "bn_group_size": 0,  # examples that share BatchNorm's statistics; 0 is the whole batch
    "dtype": "float32",
    "init": "kaiming",
    "scan_layers": True,  # compiles equal parts once
    "remat": False,  # computes again instead of keeping: less memory, more time
    **model,
  }
  config.data = {
    "name": data,
    "data_dir": "",  # empty is $HRNET_JAX_DATA, or a folder of the home folder
    "train_split": "train",
    "eval_split": "val",
    "workers": 0,  # processes that read and augment
    "threads": 2,  # of each
    "normalize": {},  # mean and std of the channels; empty is ImageNet's
  }
  config.transform = {"train": {}, "eval": {}}
  config.loss = {}
  config.optimizer = optimizer(SGD, POLY)
  config.train = {
    "epochs": 1,  # one of epochs and steps is 0
    "steps": 0,
    "batch_size": 16,  # of all devices together
    "accumulate": 1,  # parts of a batch that are run one after another
    "log_every": 20,
    "watchdog": {"warn": 300.0, "abort": 0.0},  # seconds without a step; 0 is never
    "fine_tune": {},  # a second phase: epochs, split, learning_rate
  }
  config.eval = {
    "batch_size": 16,
    "every_epochs": 1,
    "pictures": 8,
    "examples": 0,  # that validation in training looks at; 0 is all
    "protocol": {},  # how `hrnet eval` tests; empty is as in training
    "decoding": {},
    "scoring": {},
  }
  config.checkpoint = {
    "every_steps": 500,
    "keep_last": 2,
    "retry_seconds": 60.0,
    "grace_seconds": 30.0,  # that SIGTERM may take to save
  }
  return config


def optimizer(values: dict[str, Any], schedule: dict[str, Any], **more: Any) -> dict[str, Any]:
  """The block `optimizer`.

  Args:
    values: `SGD` or `ADAM`.
    schedule: such as `POLY`.
    **more: what differs.
  """
  every = {"clip_norm": 0.0, "multipliers": {}, "schedule": schedule}
  return {**values, **every, **more}


def parse(name: str, default: str, words: Collection[str] = ()) -> tuple[str, set[str]]:
  """The network and the words of an experiment's name.

  Args:
    name: `VARIANT_WORD_...`, such as `w48_ocr_ohem`; the words in any order, and the variant may be
      left out.
    default: the variant then.
    words: that may follow.

  Raises:
    ValueError: it is no such name.
  """
  fitting = [x for x in VARIANTS if name == x or name.startswith(f"{x}_")]
  variant = max(fitting, key=len, default=default)
  rest = name[len(variant) + 1 :] if fitting else name
  found = rest.split("_") if rest else []
  if len(set(found)) < len(found) or not set(found) <= set(words):
    after = f" and the words {', '.join(words)} behind it" if words else ""
    raise ValueError(
      f"unknown experiment {name!r}; expected a network{after}, such as "
      f"{'_'.join([default, *list(words)[:1]])}; networks: {', '.join(VARIANTS)}"
    )
  return variant, set(found)
