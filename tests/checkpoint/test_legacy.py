"""Configs of earlier versions, read under today's names."""

import copy

from hrnet_jax.checkpoint.legacy import ABSENT, RENAMED, upgrade

OLD = {
  "seed": 0,
  "model": {"task": "x", "roll": True, "regions": 32},
  "loss": {"balance": [0.4, 1.0], "ohem": {"groups": 4, "min_kept": 7}, "targets": "stamped"},
  "train": {"extra": {"epochs": 3}, "steps": 1},
}
NEW = {
  "seed": 0,
  "model": {"task": "x", "scan_layers": True, "roi_batch_size": 32},
  "loss": {
    "aux_weights": [0.4, 1.0],
    "ohem": {"num_groups": 4, "min_kept": 7},
    "targets": "rounded",
  },
  "train": {"fine_tune": {"epochs": 3}, "steps": 1},
}


def test_old_names_become_those_of_today_and_the_old_config_stays():
  before = copy.deepcopy(OLD)
  assert upgrade(OLD) == NEW
  assert before == OLD


def test_a_config_of_today_stays():
  assert upgrade(NEW) == NEW
  assert upgrade({"loss": {"ohem": {}, "targets": "gaussian"}}) == {
    "loss": {"ohem": {}, "targets": "gaussian"}
  }


def test_no_name_is_old_and_new():
  assert not RENAMED.keys() & {*RENAMED.values(), *ABSENT}
