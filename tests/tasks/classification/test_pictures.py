"""Pictures of scored classes: sizes, and the colours that tell right from wrong."""

import numpy as np
import pytest

from hrnet_jax.tasks.classification import pictures
from hrnet_jax.visualize.palette import RIGHT, WRONG

IMAGE = np.full((300, 400, 3), 90, np.uint8)


def count(picture, colour):
  return int((picture[300:] == np.asarray(colour, np.uint8)).all(-1).sum())


def test_image_stays_on_top():
  picture = pictures.draw(IMAGE, ["cat", "dog"], [0.75, 0.25])
  assert picture.dtype == np.uint8
  np.testing.assert_array_equal(picture[:300, :400], IMAGE)
  assert count(picture, pictures.PLAIN) > 2.9 * 0.25 * 380
  assert count(picture, RIGHT) == count(picture, WRONG) == 0


def test_lengths_of_bars_are_the_scores():
  rows = (pictures.draw(IMAGE, ["cat"], [0.5]) == pictures.PLAIN).all(-1).sum(1)
  assert abs(rows.max() - 0.5 * 400) < 20


def test_truth_is_green_and_a_wrong_winner_red():
  right = pictures.draw(IMAGE, ["cat", "dog"], [0.75, 0.25], truth="cat")
  assert count(right, RIGHT) > 500
  assert count(right, WRONG) == 0
  wrong = pictures.draw(IMAGE, ["cat", "dog"], [0.75, 0.25], truth="dog")
  assert count(wrong, WRONG) > 500
  assert count(wrong, RIGHT) > 100
  missed = pictures.draw(IMAGE, ["cat", "dog"], [0.75, 0.25], truth="eel")
  assert count(missed, RIGHT) == 0


@pytest.mark.parametrize("size", [(8, 8), (30, 1000), (2000, 100)])
def test_any_size_and_long_names(size):
  picture = pictures.draw(np.zeros((*size, 3), np.uint8), ["a" * 60, "b"], [1.0, 0.0], truth="b")
  assert max(picture.shape) < 1400
