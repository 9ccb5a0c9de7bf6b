"""Two checkpoints compared: who is right where."""

import numpy as np
import pytest

from hrnet_jax.tasks.segmentation.pictures import comparison
from hrnet_jax.visualize.palette import FIRST, HATCH, SECOND
from tests.visualize.samples import NAMES, PALETTE, count, gray, halves

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
