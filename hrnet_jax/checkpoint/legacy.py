"""Configs as earlier versions stored them -> as they are called now.

Workdirs, checkpoints and manifests hold the config of their run; its keys have had other names.
"""

from collections.abc import Mapping
import copy
from typing import Any

# Keys that were renamed, and values.
RENAMED = {
  "model.roll": "model.scan_layers",
  "model.regions": "model.roi_batch_size",
  "loss.balance": "loss.aux_weights",
  "loss.ohem.groups": "loss.ohem.num_groups",
  "train.extra": "train.fine_tune",
}
REVALUED = {("loss.targets", "stamped"): "rounded"}

# Keys that configs gained, with what their absence means, as JSON has it.
ABSENT: Mapping[str, Any] = {
  "init_from": "",
  "plugins": [],
  "model.bn_group_size": 0,
  "model.channels": 3,
  "model.norm": "batch",
  "model.head": "pixel",
  "model.representation": "v2",
  "model.upsample": "nearest",
  "data.normalize": {},
  "transform.train.aspect": [3 / 4, 4 / 3],
  "transform.train.base_size": None,
  "transform.train.brightness": False,
  "transform.train.first_pixel": 0.0,
  "transform.train.flip": True,
  "transform.train.flip_pairs": None,
  "transform.train.margin": 1.25,
  "transform.train.mask_size": 112,
  "transform.train.min_area": 0.0,
  "transform.train.resize": None,
  "transform.train.short_side": None,
  "transform.train.stretch_shrunk": True,
  "transform.eval.base_size": None,
  "transform.eval.center_crop": None,
  "transform.eval.first_pixel": 0.0,
  "transform.eval.margin": 1.25,
  "transform.eval.mask_size": 112,
  "transform.eval.min_area": 0.0,
  "transform.eval.resize": None,
  "transform.eval.short_side": None,
  "transform.eval.size": None,
  "transform.eval.stretch_shrunk": True,
  "loss.aux_weights": [],
  "loss.class_weights": None,
  "loss.ohem": {},
  "optimizer.multipliers": {},
  "train.fine_tune": {},
  "eval.decoding": {},
  "eval.examples": 0,
  "eval.protocol": {},
  "eval.protocol.flip_pairs": [],
  "eval.protocol.keep_padding": False,
  "eval.protocol.resize": None,
  "eval.protocol.short_side": None,
  "eval.protocol.stride": 8,
  "eval.scoring": {},
  "checkpoint.retry_seconds": 60.0,
  "checkpoint.grace_seconds": 30.0,
}


def upgrade(config: Mapping[str, Any]) -> dict[str, Any]:
  """A stored config under today's names; one of today stays as it is."""
  config = copy.deepcopy(dict(config))
  for old, new in RENAMED.items():
    (*path, last), name = old.split("."), new.rpartition(".")[2]
    section = _section(config, path)
    if last in section:
      section[name] = section.pop(last)
  for (key, old), new in REVALUED.items():
    *path, last = key.split(".")
    section = _section(config, path)
    if section.get(last) == old:
      section[last] = new
  return config


def _section(config: dict[str, Any], path: list[str]) -> dict[str, Any]:
  for key in path:
    config = config.get(key) or {}
  return config
