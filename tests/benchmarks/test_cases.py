"""Configs and inputs of the compared networks."""

import dataclasses
import json

import numpy as np
import pytest

from benchmarks import cases


@pytest.mark.parametrize("name", cases.CASES)
def test_a_config_survives_json(name: str) -> None:
  config = cases.CASES[name].config()
  again = cases.from_json(json.loads(config.to_json()))
  assert again.to_dict() == config.to_dict()
  assert again.model.variant in name


def test_labels_cover_all_classes_and_a_twentieth_is_ignored() -> None:
  case = dataclasses.replace(cases.CASES["w18"], size=(2, 64, 96))
  arrays = cases.make_inputs(case.config(), seed=0)
  assert arrays["image"].shape == (2, 64, 96, 3)
  assert set(np.unique(arrays["label"])) == {*range(19), 255}
  assert (arrays["label"] == 255).mean() == pytest.approx(0.05, abs=0.01)


def test_heat_maps_peak_at_their_points() -> None:
  case = dataclasses.replace(cases.CASES["w18_face68"], size=(2, 128, 128))
  arrays = cases.make_inputs(case.config(), seed=1)
  targets, points = arrays["targets"], arrays["heatmap_points"].astype(int)
  inside = (points >= 8).all(-1) & (points < np.array([24, 24])).all(-1)
  assert inside.any()
  assert targets.shape == (2, 32, 32, 68)
  flat = targets.reshape(2, -1, 68).argmax(1)
  found = np.stack([flat % 32, flat // 32], -1)
  assert (found[inside] == points[inside]).all()
  assert targets.max() == 1
