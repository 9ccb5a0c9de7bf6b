"""Two checkpoints compared: who is right where, and the order and length of bars."""

import numpy as np
import pytest

from hrnet_jax.tasks.segmentation.pictures import comparison
from hrnet_jax.visualize.palette import FIRST, HATCH, RIGHT, SECOND, WRONG
from tests.visualize.samples import NAMES, PALETTE, count, gray, halves, has

TRUTH = np.array([[0, 0, 1, 1, 255]], np.uint8)
A = np.array([[0, 0, 2, 2, 1]], np.uint8)
B = np.array([[0, 1, 1, 0, 1]], np.uint8)


def test_agreement_counts_pixels_that_have_a_class():
  assert comparison.agreement(TRUTH, A, B, 3) == {
    "both": 0.25,
    "first": 0.25,
    "second": 0.25,
    "neither": 0.25,
  }
  nothing = comparison.agreement(np.full((2, 2), 255), np.zeros((2, 2)), np.ones((2, 2)), 3)
  assert set(nothing.values()) == {0.0}


def test_agreement_map_has_a_colour_for_each_case():
  out = comparison.agreement_map(gray(100, 1, 5), TRUTH, A, B, 3)
  assert tuple(out[0, 0]) == (170,) * 3  # the faded photo
  mixed = [np.rint(0.15 * 170 + 0.85 * np.array(c)) for c in (FIRST, SECOND, comparison.BOTH_WRONG)]
  np.testing.assert_array_equal(out[0, 1:4], mixed)
  assert tuple(out[0, 4]) in HATCH


def test_panel_is_two_rows_of_three():
  truth, a, b = halves(0, 1, 300, 400), halves(0, 2, 300, 400), halves(1, 1, 300, 400)
  picture = comparison.comparison_panel(gray(9, 300, 400), truth, a, b, PALETTE, NAMES)
  assert 3 * 400 < picture.shape[1] < 3.2 * 400
  assert picture.shape[0] > 2 * 300
  tile = 300 * 200
  # "only A right" is the left half of the map; the key has a swatch of each colour
  mixed = 0.15 * 120 + 0.85 * np.array(FIRST)  # 120 = 0.55 * 9 + 0.45 * 255
  near = (np.abs(picture - mixed).max(-1) <= 1).sum()
  assert 0.95 * tile < near < 1.1 * tile
  assert all(count(picture, c) > 200 for c in (FIRST, SECOND, comparison.BOTH_WRONG))


@pytest.mark.parametrize("size", [(20, 900), (900, 20), (2, 2)])
def test_panel_survives_any_shape(size):
  label = np.zeros(size, np.uint8)
  picture = comparison.comparison_panel(gray(9, *size), label, label, label, PALETTE, NAMES)
  assert picture.dtype == np.uint8


def test_panel_refuses_what_it_cannot_compare():
  label = halves(0, 1)
  with pytest.raises(ValueError, match=r"label map of size \(4, 12\)"):
    comparison.comparison_panel(gray(0), label, label, halves(0, 1, 4), PALETTE, NAMES)
  with pytest.raises(ValueError, match="names of their own, got 'x' and 'x'"):
    comparison.comparison_panel(gray(0), label, label, label, PALETTE, NAMES, names=("x", "x"))


def bars(picture: np.ndarray, colour: tuple[int, int, int]) -> list[int]:
  """Lengths of the bars of a colour from top to bottom, without the heading and the numbers."""
  rows = (picture[96:, :-205] == colour).all(-1).sum(1)
  starts = np.flatnonzero((rows[1:] > 35) & (rows[:-1] <= 35)) + 1
  return [int(rows[start]) for start in starts]


def test_bars_are_sorted_by_the_gain_of_the_second():
  picture = comparison.comparison_bars([0.5, 0.9, 0.25], [0.5, 0.8, 1.0], NAMES)
  assert bars(picture, FIRST) == [61, 121, 217]  # sea +75, wall 0, grass -10; 240 pixels are 1
  assert bars(picture, SECOND) == [241, 121, 193]
  assert has(picture, RIGHT)
  assert has(picture, WRONG)


def test_classes_without_a_score_stand_last_and_do_not_count():
  picture = comparison.comparison_bars([np.nan, 0.5, 0.5], [0.9, 0.4, 0.4], NAMES)
  assert bars(picture, FIRST) == [121, 121]
  assert bars(picture, SECOND) == [97, 97, 217]
  assert not has(picture, RIGHT)


def test_many_classes_stand_in_columns():
  few, many = (
    comparison.comparison_bars([0.5] * n, [0.6] * n, ["name"] * n, title="t") for n in (40, 120)
  )
  assert many.shape[0] == few.shape[0]
  assert many.shape[1] > 2.8 * few.shape[1]


def test_bars_say_what_is_wrong():
  with pytest.raises(ValueError, match="2 and 3 scores for 3 class names"):
    comparison.comparison_bars([0.1, 0.2], [0.1, 0.2, 0.3], NAMES)
  with pytest.raises(ValueError, match=r"score 48\.1 of class 'grass' is not in \[0, 1\]"):
    comparison.comparison_bars([0.1, 0.2, 0.3], [0.1, 48.1, 0.3], NAMES)
