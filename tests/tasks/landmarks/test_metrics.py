"""Errors equal the official ones; figures against definitions, sums by hand and integrals."""

from hypothesis import given, settings
from hypothesis import strategies as st
import jax
import numpy as np
import pytest

from hrnet_jax.tasks.landmarks.metrics import (
  by_position,
  cumulative_shares,
  image_errors,
  normalizing_distance,
  scores,
)
from tests.golden import recipe
from tests.helpers import landmark_cases

EYES = {
  "l29": ((8,), (9,)),
  "l68": ((36,), (45,)),
  "l98": ((60,), (72,)),
}
property_test = settings(deadline=None, max_examples=60, database=None)


@pytest.mark.parametrize("name", ["l19", *EYES])
@pytest.mark.parametrize("which", ["nme", "near_nme"])
def test_errors_equal_the_reference(name, which):
  meta, arrays = landmark_cases.load("landmarks_decoding/cases.npz")
  case = meta["cases"][name]
  made = recipe.synthetic_points(case["n"], case["num_landmarks"], case["points_seed"])
  truth = made.astype(np.float32) if which == "nme" else arrays[f"{name}.near_targets"]
  groups = {"inter_ocular": EYES[name]} if name in EYES else {}
  normalizer = "inter_ocular" if groups else "box_size"
  box_size = np.array(case["box_size"], np.float32)
  distance = normalizing_distance(normalizer, truth, box_size, groups)
  errors = image_errors(arrays[f"{name}.preds"], truth, distance)
  np.testing.assert_allclose(errors, arrays[f"{name}.{which}"], rtol=1e-6)
  with jax.enable_x64(True):
    truth, predictions = truth.astype(float), arrays[f"{name}.preds"].astype(float)
    distance = normalizing_distance(normalizer, truth, box_size.astype(float), groups)
    errors = image_errors(predictions, truth, distance)
    # The reference itself sums in float32.
    np.testing.assert_allclose(errors, arrays[f"{name}.{which}"], rtol=3e-7)


def test_normalizing_distances_by_hand():
  truth = np.zeros((1, 6, 2), np.float32)
  truth[0] = [[0, 0], [2, 0], [3, 0], [6, 8], [8, 8], [1, 12]]
  groups = {"inter_ocular": ((0,), (3,)), "inter_pupil": ((0, 1), (3, 4))}
  box_size = np.float32([17])
  by_name = {
    name: float(normalizing_distance(name, truth, box_size, groups)[0])
    for name in ("inter_ocular", "inter_pupil", "box_size", "box_diagonal")
  }
  assert by_name == pytest.approx(
    {"inter_ocular": 10, "inter_pupil": 10, "box_size": 17, "box_diagonal": np.hypot(8, 12)}
  )
  errors = image_errors(truth + np.float32([3, 4]), truth, np.float32([10]))
  assert errors.tolist() == [0.5]


def test_unknown_normalizers_are_named():
  with pytest.raises(
    ValueError, match=r"unknown normalizer 'eyes' .*; known: box_diagonal, box_size, inter_ocular"
  ):
    normalizing_distance("eyes", np.zeros((1, 2, 2)), np.ones(1), {"inter_ocular": ((0,), (1,))})


def test_batches_add_up_to_the_errors_of_all():
  errors = np.float32([0.5, 0.25, 0.125, 0.0625, 0.75])
  total = 0
  for index, mask in (([4, 0], [True, True]), ([2, 1], [True, True]), ([3, -1], [True, False])):
    values = np.where(mask, errors[index], np.nan)
    total = total + by_position(values, np.array(index), np.array(mask), 5)
  np.testing.assert_array_equal(total, errors)


def test_scores_by_hand():
  result = scores(np.array([0.02, 0.08, 0.05, 0.2]), 0.08)
  assert (result.count, result.threshold) == (4, 0.08)
  assert result.nme == pytest.approx(0.0875)
  assert result.failure_rate == 0.25  # 0.08 itself is no failure
  assert result.auc == pytest.approx((0.75 + 0 + 0.375 + 0) / 4)


ERRORS = st.lists(st.floats(0, 0.3), min_size=1, max_size=40)


@property_test
@given(ERRORS, st.sampled_from([0.07, 0.08, 0.1]))
def test_area_is_the_integral_of_the_curve(errors, threshold):
  errors = np.array(errors)
  n = 20000
  middles = (np.arange(n) + 0.5) * threshold / n
  shares = cumulative_shares(errors, middles)
  result = scores(errors, threshold)
  assert result.auc == pytest.approx(shares.mean(), abs=1e-4)
  assert result.failure_rate == pytest.approx(1 - cumulative_shares(errors, [threshold])[0])


@property_test
@given(ERRORS, ERRORS)
def test_figures_of_parts_average_to_those_of_the_whole(first, second):
  parts = [scores(np.array(x), 0.1) for x in (first, second)]
  whole = scores(np.array(first + second), 0.1)
  assert whole.count == sum(x.count for x in parts)
  for figure in ("nme", "failure_rate", "auc"):
    average = sum(getattr(x, figure) * x.count for x in parts) / whole.count
    assert getattr(whole, figure) == pytest.approx(average, abs=1e-12)


def test_cumulative_shares_count_equal_errors():
  shares = cumulative_shares(np.array([0.1, 0.3, 0.1, 0.2]), np.array([0, 0.1, 0.25, 1]))
  assert shares.tolist() == [0, 0.5, 0.75, 1]


@pytest.mark.parametrize(
  ("errors", "threshold", "message"),
  [
    ([], 0.1, r"errors have shape \(0,\)"),
    ([[0.1]], 0.1, r"errors have shape \(1, 1\)"),
    ([0.1, np.inf, np.nan], 0.1, r"2 of 3 images are not finite, the first at position 1"),
    ([0.1], 0, r"threshold is 0, expected more than 0"),
  ],
)
def test_bad_input_is_named(errors, threshold, message):
  with pytest.raises(ValueError, match=message):
    scores(np.array(errors), threshold)
