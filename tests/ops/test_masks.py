"""Mask targets equal what the whole image's mask gives; pasting equals a loop over pixels."""

import functools

import cv2
from hypothesis import given, settings
from hypothesis import strategies as st
import jax
import numpy as np
import pytest

from hrnet_jax.ops.boxes import Convention
from hrnet_jax.ops.masks import mask_targets, paste

MODERN, LEGACY = Convention.MODERN, Convention.LEGACY
property_test = settings(deadline=None, max_examples=25, database=None)


@functools.partial(jax.jit, static_argnames=("size", "convention"))
def targets(masks, truths, boxes, matched, size, convention):
  return mask_targets(masks, truths, boxes, matched, size, convention=convention)


def blob(seed, height=160, width=200):
  """A full-size mask of an ellipse with a notch, its modern box, and the crop of it."""
  rng = np.random.default_rng(seed)
  mask = np.zeros((height, width), np.uint8)
  axes = tuple(int(x) for x in rng.integers(15, 60, 2))
  cv2.ellipse(mask, (95, 80), axes, float(rng.uniform(0, 180)), 0, 290, 1, -1)
  rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
  x0, y0, x1, y1 = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
  crop = cv2.resize(255 * mask[y0:y1, x0:x1], (112, 112), interpolation=cv2.INTER_LINEAR)
  return mask, np.float32([x0, y0, x1, y1]), crop


def plain_modern_target(mask, box, size):
  """RoIAlign of the whole mask: a bin is the mean of a point for each pixel; then at least half."""
  x0, y0, x1, y1 = box
  ny, nx = (int(np.ceil((b - a) / size)) for a, b in ((y0, y1), (x0, x1)))
  y = y0 - 0.5 + (np.arange(size * ny) + 0.5) / ny * (y1 - y0) / size
  x = x0 - 0.5 + (np.arange(size * nx) + 0.5) / nx * (x1 - x0) / size
  points = np.meshgrid(x.astype(np.float32), y.astype(np.float32))
  values = cv2.remap(mask.astype(np.float32), *points, cv2.INTER_LINEAR)
  return values.reshape(size, ny, size, nx).mean((1, 3)) >= 0.5


def plain_legacy_target(mask, box, size):
  x0, y0, x1, y1 = box.astype(int)
  crop = mask[y0 : max(y1, y0) + 1, x0 : max(x1, x0) + 1]
  return cv2.resize(crop, (size, size), interpolation=cv2.INTER_LINEAR) > 0


@pytest.mark.parametrize(
  ("convention", "plain"), [(MODERN, plain_modern_target), (LEGACY, plain_legacy_target)]
)
def test_targets_of_moved_boxes_are_those_of_the_whole_mask(convention, plain):
  wrong, total = 0, 0
  for seed in range(8):
    mask, truth, crop = blob(seed)
    truth = truth - np.float32([0, 0, convention.offset, convention.offset])
    rng = np.random.default_rng(seed)
    side = np.tile(truth[2:] - truth[:2], 2)
    boxes = truth + rng.uniform(-0.2, 0.2, (20, 4)) * side
    boxes = np.clip(boxes, 0, np.float32([200, 160, 200, 160]) - convention.offset)
    boxes = boxes.astype(np.float32)
    matched = np.ones(20, np.int32)
    out = targets(
      np.stack([0 * crop, crop]), np.stack([0 * truth, truth]), boxes, matched, 28, convention
    )
    expected = np.stack([plain(mask, box, 28) for box in boxes])
    assert expected.any(axis=(1, 2)).all()
    wrong, total = wrong + (np.asarray(out) != expected).sum(), total + expected.size
  # The crop is another grid: cells on the outline differ.
  assert wrong / total < 0.004


@pytest.mark.parametrize("convention", list(Convention))
def test_the_objects_own_box_shows_its_mask(convention):
  crop = np.zeros((1, 112, 112), np.uint8)
  crop[:, :, 56:] = 255
  box = np.float32([[10, 20, 66, 132]]) - np.float32([0, 0, 1, 1]) * convention.offset
  out = targets(crop, box, box, np.zeros(1, np.int32), 28, convention)
  np.testing.assert_array_equal(out[0], np.tile(np.arange(28) >= 14, (28, 1)))
  # Twice as wide to the left: the object fills the right half of it, its mask a quarter.
  wide = box - np.float32([[56, 0, 0, 0]])
  out = targets(crop, box, wide, np.zeros(1, np.int32), 28, convention)
  np.testing.assert_array_equal(out[0], np.tile(np.arange(28) >= 21, (28, 1)))


def test_legacy_boxes_are_truncated_to_whole_pixels():
  _, truth, crop = blob(0)
  box = truth[None] - np.float32([[7, 5, -8, -3]])
  exact, fraction = (
    targets(crop[None], truth[None], b, np.zeros(1, np.int32), 28, LEGACY)
    for b in (box, box + np.float32([0.9, 0.8, 0.2, 0.6]))
  )
  assert exact.any()
  np.testing.assert_array_equal(exact, fraction)


@pytest.mark.parametrize("convention", list(Convention))
def test_degenerate_boxes_give_zeros_and_ones(convention):
  masks = np.full((2, 112, 112), 255, np.uint8)
  truths = np.float32([[10, 10, 50, 50], [0, 0, 0, 0]])
  boxes = np.float32([[20, 20, 20, 20], [0, 0, 0, 0], [500, 500, 600, 600], [-1e4, 0, 1e4, 9]])
  out = np.asarray(targets(masks, truths, boxes, np.array([0, 1, 0, 1]), 28, convention))
  assert set(np.unique(out)) <= {0, 1}
  assert out[0].all()
  assert not out[2].any()


def plain_paste(probabilities, box, size, threshold=0.5):
  """Each pixel's middle, bilinearly, with zeros around the mask."""
  height, width = size
  cells = np.pad(probabilities.astype(np.float64), 1)
  out = np.zeros(size, bool)
  for y in range(height):
    for x in range(width):
      v = (y + 0.5 - box[1]) / (box[3] - box[1]) * probabilities.shape[0] + 0.5
      u = (x + 0.5 - box[0]) / (box[2] - box[0]) * probabilities.shape[1] + 0.5
      if 0 <= u < cells.shape[1] - 1 and 0 <= v < cells.shape[0] - 1:
        i, j = int(v), int(u)
        patch = cells[i : i + 2, j : j + 2]
        out[y, x] = [1 - v + i, v - i] @ patch @ [1 - u + j, u - j] >= threshold
  return out


@property_test
@given(st.integers(0, 2**32 - 1))
def test_modern_pasting_equals_a_loop(seed):
  rng = np.random.default_rng(seed)
  probabilities = cv2.GaussianBlur(rng.random((28, 28)).astype(np.float32), (5, 5), 1.5)
  corner, side = rng.uniform(-20, 40, 2), np.exp(rng.uniform(-2, 4, 2))
  box = np.concatenate([corner, corner + side])
  for threshold in (0.5, 0.2):
    out = paste(probabilities, box, (30, 40), convention=MODERN, threshold=threshold)
    expected = plain_paste(probabilities, box, (30, 40), threshold)
    assert (out != expected).sum() <= 1  # a value at the threshold may round


def plain_legacy_paste(probabilities, box, size):
  x0, y0, x1, y1 = (int(x) for x in box)
  w, h = max(x1 - x0 + 1, 1), max(y1 - y0 + 1, 1)
  mask = cv2.resize(probabilities, (w, h), interpolation=cv2.INTER_LINEAR)
  out = np.zeros(size, bool)
  for y in range(h):
    for x in range(w):
      if 0 <= y0 + y < size[0] and 0 <= x0 + x < size[1]:
        out[y0 + y, x0 + x] = mask[y, x] > 0.5
  return out


@property_test
@given(st.integers(0, 2**32 - 1))
def test_legacy_pasting_equals_a_loop(seed):
  rng = np.random.default_rng(seed)
  probabilities = cv2.GaussianBlur(rng.random((28, 28)).astype(np.float32), (5, 5), 1.5)
  corner = rng.uniform(-40, 60, 2)
  box = np.concatenate([corner, corner + rng.uniform(0, 50, 2)])
  out = paste(probabilities, box, (30, 40), convention=LEGACY)
  np.testing.assert_array_equal(out, plain_legacy_paste(probabilities, box, (30, 40)))


def test_a_full_mask_fills_its_box():
  full = np.ones((28, 28), np.float32)
  modern = paste(full, np.array([3.5, 2, 9.4, 6]), (8, 12), convention=MODERN)
  expected = np.zeros((8, 12), bool)
  expected[2:6, 3:9] = True  # the middle of pixel 3 is on the edge, that of pixel 9 beyond it
  np.testing.assert_array_equal(modern, expected)
  legacy = paste(full, np.array([3.9, 2.1, 8.9, 5.2]), (8, 12), convention=LEGACY)
  np.testing.assert_array_equal(legacy, expected)


@pytest.mark.parametrize("convention", list(Convention))
@pytest.mark.parametrize(
  "box",
  [(50, 50, 60, 60), (-30, -30, -20, -20), (np.nan, 0, 5, 5), (0, 0, np.inf, 5)],
  ids=["right", "left", "nan", "infinite"],
)
def test_boxes_elsewhere_have_no_pixels(convention, box):
  out = paste(np.ones((28, 28), np.float32), np.array(box), (20, 30), convention=convention)
  assert out.shape == (20, 30)
  assert not out.any()


def test_a_box_without_area_has_no_pixel_or_one():
  full = np.ones((28, 28), np.float32)
  box = np.array([5, 6, 5, 6.0])
  assert not paste(full, box, (20, 30), convention=MODERN).any()
  assert np.argwhere(paste(full, box, (20, 30), convention=LEGACY)).tolist() == [[6, 5]]
