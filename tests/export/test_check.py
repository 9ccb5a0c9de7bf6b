"""How far two results are apart, by hand."""

import numpy as np
import pytest

from hrnet_jax.export.check import distance, share_off


def test_distance_is_the_largest_difference_in_deviations() -> None:
  expected = np.array([0.0, 4.0])  # deviation 2
  assert distance([np.array([0.5, 3])], [expected]) == 0.5
  assert distance([expected, expected + 6], [expected, expected]) == 3
  assert np.isnan(distance([np.array([np.nan, 4])], [expected]))


@pytest.mark.parametrize(
  ("value", "share"),
  [
    ([0, 1000.0], 0),
    ([0.4, 1000.4], 0),  # within a thousandth of the deviation, 500
    ([0.6, 1000.4], 0.5),
    ([0.6, 1002.0], 1),
    ([np.nan, 1000], 0.5),
  ],
)
def test_numbers_may_be_off_by_a_thousandth(value: list, share: float) -> None:
  assert share_off([np.array(value)], [np.array([0, 1000.0])]) == share


def test_classes_are_the_same_or_not() -> None:
  labels = np.arange(8, dtype=np.uint8)
  assert share_off([labels], [labels]) == 0
  assert share_off([labels ^ (labels == 5)], [labels]) == 1 / 8
  assert share_off([labels, labels + 1], [labels, labels]) == 0.5
  assert share_off([labels[:4]], [labels]) == 1


def test_one_value_is_judged_by_its_size() -> None:
  """Networks with one number for each image have no deviation on one image."""
  assert distance(np.float32([2.0002]), np.float32([2])) == pytest.approx(1e-4, rel=1e-2)
