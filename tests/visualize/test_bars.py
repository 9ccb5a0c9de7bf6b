"""Scores of two networks: the order and length of bars."""

import numpy as np
import pytest

from hrnet_jax.visualize.bars import TRACK, comparison_bars
from hrnet_jax.visualize.palette import FIRST, RIGHT, SECOND, WRONG
from tests.visualize.samples import NAMES, has


def bars(picture: np.ndarray, colour: tuple[int, int, int]) -> list[float]:
  """Lengths of the bars of a colour from top to bottom, as shares of their tracks."""
  body = picture[80:]  # below the heading
  own, track = ((body == c).all(-1) for c in (colour, TRACK))
  rows = own.sum(1) > 35
  starts = np.flatnonzero(rows[1:] & ~rows[:-1]) + 2
  return [own[row].sum() / (own[row] | track[row]).sum() for row in starts]


def test_bars_are_sorted_by_the_gain_of_the_second():
  picture = comparison_bars([0.5, 0.9, 0.25], [0.5, 0.8, 1.0], NAMES)
  # sea +75, wall 0, grass -10
  assert bars(picture, FIRST) == pytest.approx([0.25, 0.5, 0.9], abs=0.01)
  assert bars(picture, SECOND) == pytest.approx([1, 0.5, 0.8], abs=0.01)
  assert has(picture, RIGHT)
  assert has(picture, WRONG)


def test_classes_without_a_score_stand_last_and_do_not_count():
  picture = comparison_bars([np.nan, 0.5, 0.5], [0.9, 0.4, 0.4], NAMES)
  assert bars(picture, FIRST) == pytest.approx([0.5, 0.5], abs=0.01)
  assert bars(picture, SECOND) == pytest.approx([0.4, 0.4, 0.9], abs=0.01)
  assert not has(picture, RIGHT)


def test_many_classes_stand_in_columns():
  few, many = (comparison_bars([0.5] * n, [0.6] * n, ["name"] * n, title="t") for n in (40, 120))
  assert many.shape[0] == few.shape[0]
  assert many.shape[1] > 2.8 * few.shape[1]


def test_bars_say_what_is_wrong():
  with pytest.raises(ValueError, match="2 and 3 scores for 3 names"):
    comparison_bars([0.1, 0.2], [0.1, 0.2, 0.3], NAMES)
  with pytest.raises(ValueError, match=r"score 48\.1 of 'grass' is not in \[0, 1\]"):
    comparison_bars([0.1, 0.2, 0.3], [0.1, 48.1, 0.3], NAMES)
