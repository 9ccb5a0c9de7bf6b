"""Panels of segmented photos: their tiles and sizes."""

import numpy as np
import pytest

from hrnet_jax.tasks.segmentation.pictures import panel
from hrnet_jax.visualize.labels import overlay
from hrnet_jax.visualize.palette import HATCH, PAPER
from tests.visualize.samples import NAMES, PALETTE, gray, halves, has


def test_labelled_is_the_overlay_above_its_legend():
  image, label = gray(60, 300, 400), halves(0, 1, 300, 400)
  picture = panel.labelled(image, label, PALETTE, NAMES)
  np.testing.assert_array_equal(picture[:300, :400], overlay(image, label, PALETTE))
  assert picture.shape[0] > 300
  assert tuple(picture[-1, -1]) == PAPER


@pytest.mark.parametrize(
  ("shape", "columns"), [((300, 400), 2), ((300, 300), 4), ((400, 300), 4)], ids=str
)
def test_segmentation_panel_has_four_tiles(shape, columns):
  label = halves(0, 1, *shape)
  picture = panel.segmentation_panel(gray(9, *shape), label, label, PALETTE, NAMES)
  assert picture.shape[1] >= columns * shape[1]
  assert picture.shape[1] < (columns + 1) * shape[1]
  assert has(picture, (9, 9, 9))


def test_segmentation_panel_reduces_large_images_and_enlarges_small_ones():
  def side(n: int) -> int:
    label = halves(0, 1, n, n)
    return panel.segmentation_panel(
      gray(9, n, n), label, label, PALETTE, NAMES, max_side=600
    ).shape[1]

  assert 4 * 512 <= side(64) < 4 * 560
  assert 4 * 600 <= side(1200) < 4 * 660


def test_segmentation_panel_survives_a_truth_without_any_class():
  truth = halves(255, 255)
  picture = panel.segmentation_panel(gray(9), halves(0, 1), truth, PALETTE, NAMES)
  assert has(picture, HATCH[1])
