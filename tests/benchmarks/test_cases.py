"""Inputs of the compared networks."""

import json

import numpy as np
import pytest

from benchmarks import cases


@pytest.mark.parametrize("name", cases.CASES)
def test_a_case_survives_json(name: str) -> None:
  case = cases.CASES[name]
  again = cases.Case(**json.loads(json.dumps(case.plain())))
  assert again.model == case.model
  assert str(again) == str(case)


def test_labels_cover_all_classes_and_a_twentieth_is_ignored() -> None:
  case = cases.Case("segmentation", {}, (2, 64, 96), 7)
  arrays = cases.inputs(case, seed=0)
  assert set(np.unique(arrays["label"])) == {*range(7), cases.IGNORE}
  assert (arrays["label"] == cases.IGNORE).mean() == pytest.approx(0.05, abs=0.01)


def test_heat_maps_peak_at_their_points() -> None:
  arrays = cases.inputs(cases.Case("landmarks", {}, (2, 64, 128), 3), seed=1)
  targets, points = arrays["targets"], arrays["heatmap_points"].astype(int)
  inside = (points >= 8).all(-1) & (points < np.array([24, 8])).all(-1)
  assert targets.shape == (2, 16, 32, 3)
  flat = targets.reshape(2, -1, 3).argmax(1)
  found = np.stack([flat % 32, flat // 32], -1)
  assert (found[inside] == points[inside]).all()
  assert targets.max() == 1
