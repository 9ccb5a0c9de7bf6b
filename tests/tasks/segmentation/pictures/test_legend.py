"""Legends: which classes they show, and their shares."""

import numpy as np
import pytest

from hrnet_jax.tasks.segmentation.pictures.legend import entries, legend
from hrnet_jax.visualize.palette import HATCH
from tests.visualize.samples import BLUE, GREEN, NAMES, PALETTE, RED, halves, has


def test_legend_shows_the_classes_that_occur():
  picture = legend({"predicted": halves(0, 1)}, PALETTE, NAMES, width=300)
  assert picture.shape[1] == 300
  assert has(picture, RED)
  assert has(picture, GREEN)
  assert not has(picture, BLUE)
  assert not has(picture, HATCH[0])
  with_truth = legend(
    {"predicted": halves(0, 1), "true": halves(2, 255)}, PALETTE, NAMES, width=300
  )
  assert has(with_truth, BLUE)
  assert has(with_truth, HATCH[0])


def test_legend_counts_pixels():
  label = np.array([[0, 0, 0, 2]])
  rows = entries([label, np.array([[2, 2, 255, 255]])], PALETTE, NAMES)
  assert rows == [
    ("wall", RED, "75.0 / 0.0 %"),
    ("sea", BLUE, "25.0 / 50.0 %"),
    ("ignored", None, "0.0 / 50.0 %"),
  ]


def test_legend_widens_for_long_names_and_checks_their_number():
  names = ("a class with quite a long name", "grass", "sea")
  assert legend({"predicted": halves(0, 1)}, PALETTE, names, width=50).shape[1] > 200
  with pytest.raises(ValueError, match="2 class names but 3 colours"):
    legend({"predicted": halves(0, 1)}, PALETTE, NAMES[:2], width=50)
