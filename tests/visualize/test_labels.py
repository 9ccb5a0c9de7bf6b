"""Label maps over photos, checked pixel by pixel."""

import numpy as np
import pytest

from hrnet_jax.visualize import labels
from hrnet_jax.visualize.palette import HATCH
from tests.visualize.samples import BLUE, GREEN, PALETTE, RED, gray, halves


def test_colorize_paints_classes_and_leaves_others_black():
  label = np.array([[0, 1, 2], [255, 3, 0]], np.uint8)
  want = [[RED, GREEN, BLUE], [(0, 0, 0), (0, 0, 0), RED]]
  np.testing.assert_array_equal(labels.colorize(label, PALETTE), want)
  signed = np.where(label > 2, -1, label.astype(np.int64))
  np.testing.assert_array_equal(labels.colorize(signed, PALETTE), want)


def test_boundaries_lie_before_the_change():
  label = np.array([[0, 0, 1], [0, 0, 1], [2, 2, 2]])
  want = np.array([[0, 1, 0], [1, 1, 1], [0, 0, 0]], bool)
  np.testing.assert_array_equal(labels.boundaries(label), want)


def test_overlay_mixes_colour_and_photo():
  label = np.array([[0, 2], [255, 2]])
  out = labels.overlay(gray(100, 2, 2), label, PALETTE, alpha=0.25, lines=False)
  # 0.75 * 100 + 0.25 * colour; 87.5 is rounded to even
  want = [[(125, 75, 75), (75, 75, 88)], [(100, 100, 100), (75, 75, 88)]]
  np.testing.assert_array_equal(out, want)


def test_overlay_draws_white_lines_between_classes_only():
  plain = labels.overlay(gray(100), halves(0, 1), PALETTE, lines=False)
  lined = labels.overlay(gray(100), halves(0, 1), PALETTE)
  assert (lined[:, 5] > 150).all()  # the last column of the left half
  np.testing.assert_array_equal(lined[:, :4], plain[:, :4])
  np.testing.assert_array_equal(lined[:, 7:], plain[:, 7:])


def test_overlay_refuses_what_does_not_fit():
  with pytest.raises(ValueError, match=r"image of size \(8, 12\) but label map of size \(4, 12\)"):
    labels.overlay(gray(0), halves(0, 1, height=4), PALETTE)
  with pytest.raises(ValueError, match=r"between 0 and 1, got 1\.5"):
    labels.overlay(gray(0), halves(0, 1), PALETTE, alpha=1.5)


def test_hatch_covers_the_mask_with_both_greys():
  mask = halves(1, 0).astype(bool)
  out = labels.hatch(gray(7), mask)
  np.testing.assert_array_equal(out[:, 6:], gray(7)[:, 6:])
  np.testing.assert_array_equal(
    out[0, :6], np.array(HATCH)[[0, 0, 1, 1, 0, 0]]
  )  # stripes two pixels wide
  np.testing.assert_array_equal(out[1, 0:3], np.array(HATCH)[[0, 1, 1]])


def test_errors_are_red_on_a_faded_photo():
  truth = np.array([[0, 1, 255]])
  out = labels.errors(gray(100, 1, 3), np.array([[0, 2, 2]]), truth, num_classes=3)
  faded = 170  # 0.55 * 100 + 0.45 * 255 = 169.75
  assert tuple(out[0, 0]) == (faded,) * 3
  # 0.15 * 170 + 0.85 * (227, 26, 28)
  assert tuple(out[0, 1]) == (218, 48, 49)
  assert tuple(out[0, 2]) in HATCH
