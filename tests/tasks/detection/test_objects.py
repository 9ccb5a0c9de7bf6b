"""Boxes and masks that move with their image, by hand and by drawing them pixel by pixel."""

import json

import cv2
from hypothesis import given
from hypothesis import strategies as st
import numpy as np
import pytest

from hrnet_jax.ops import rle
from hrnet_jax.tasks.detection import objects
from hrnet_jax.tasks.detection.objects import Move, Padding


def record(boxes, ignored=None, masks=None, name="street"):
  boxes = np.array(boxes, np.float32).reshape(-1, 4)
  return {
    "name": name,
    "boxes": boxes,
    "classes": np.arange(len(boxes), dtype=np.int32) + 3,
    "ignored": np.array(ignored or [False] * len(boxes), np.bool_),
    "ids": np.arange(len(boxes)) + 50,
    "masks": json.dumps([m if m is None else rle.encode(m) for m in masks or [None] * len(boxes)]),
  }


@pytest.mark.parametrize(
  ("size", "expected"),
  # Width and height of the facts: 640x480, 640x427, 500x375, 640x359, 1000x300, tall.
  [
    ((480, 640), (800, 1067)),
    ((427, 640), (800, 1199)),
    ((375, 500), (800, 1067)),
    ((359, 640), (748, 1333)),
    ((300, 1000), (400, 1333)),
    ((640, 480), (1067, 800)),
    ((33, 33), (800, 800)),
    ((1, 9000), (1, 1333)),
  ],
)
def test_sizes_of_the_reference(size, expected):
  assert objects.resized_size(size, (1333, 800)) == expected


@given(st.integers(1, 3000), st.integers(1, 3000), st.integers(1, 1500), st.integers(1, 1500))
def test_resized_images_are_as_large_as_they_may_be(height, width, a, b):
  long, short = max(a, b), min(a, b)
  new = objects.resized_size((height, width), (long, short))
  assert max(new) <= long
  assert min(new) <= short
  assert max(new) == long or min(new) == short
  assert abs(new[0] / height - new[1] / width) <= 1 / min(height, width)


def test_boxes_by_hand():
  # 427 x 640 to 800 x 1199: the factors of the two sides are not quite the same.
  move = Move((427, 640), (800, 1199))
  out = Padding(max_objects=3).arrays(record([[64, 42.7, 320, 427], [-10, -10, 700, 9]]), move)
  expected = [[119.9, 80, 599.5, 800], [0, 0, 1199, 9 * 800 / 427], [0] * 4]
  np.testing.assert_allclose(out["boxes"], expected, rtol=1e-6)
  assert out["classes"].tolist() == [3, 4, 0]
  assert out["valid"].tolist() == [True, True, False]
  assert {k: str(v.dtype) for k, v in out.items()} == {
    "boxes": "float32",
    "classes": "int32",
    "valid": "bool",
  }
  flipped = Padding(max_objects=3).arrays(
    record([[64, 42.7, 320, 427]]), Move((427, 640), (800, 1199), flip=True)
  )
  np.testing.assert_allclose(flipped["boxes"][0], [599.5, 80, 1079.1, 800], rtol=1e-6)


def test_what_is_left_out():
  boxes = [[0, 0, 5, 5], [10, 10, 10, 20], [40, 40, 60, 60], [-9, 0, 0, 9], [5, 5, 9, 9]]
  ignored = [True, False, False, False, False]
  out = Padding(max_objects=4).arrays(record(boxes, ignored), Move((40, 40), (40, 40)))
  assert out["valid"].tolist() == [True, False, False, False]
  assert out["boxes"][0].tolist() == [5, 5, 9, 9]
  none = Padding(max_objects=4, min_area=16.5).arrays(
    record(boxes, ignored), Move((40, 40), (40, 40))
  )
  assert not none["valid"].any()
  assert not none["boxes"].any()


def test_of_too_many_objects_the_largest_are_kept_in_their_order():
  boxes = [[0, 0, side, 10] for side in (5, 9, 1, 7, 9, 8)]
  out = Padding(max_objects=3).arrays(record(boxes), Move((20, 20), (20, 20)))
  assert out["classes"].tolist() == [4, 7, 8]
  assert out["valid"].all()


def test_no_objects():
  out = Padding(max_objects=2, masks=True, mask_size=4).arrays(record([]), Move((9, 9), (9, 9)))
  assert out["masks"].shape == (2, 4, 4)
  assert not any(value.any() for value in out.values())


def test_resampling_by_hand():
  mask = np.zeros((6, 8), np.uint8)
  mask[2:4, 2:6] = 1
  assert (objects.resample(mask, [2, 2, 6, 4], 4) == 255).all()
  # Cells of 1.5 x 1.5 pixels in a box of 3 x 3, of which the mask covers the upper left 2 x 2.
  np.testing.assert_array_equal(
    objects.resample(mask, [4, 2, 7, 5], 2), np.rint(255 * np.array([[1, 1 / 3], [1 / 3, 1 / 9]]))
  )
  half = objects.resample(mask, [5.5, 2, 6.5, 4], 1)
  assert half.tolist() == [[128]]  # one half of the cell
  assert objects.resample(mask, [5.51, 2, 6.51, 4], 1).item() < 128


@given(
  st.integers(0, 2**32), st.integers(2, 40), st.integers(2, 40), st.sampled_from([1, 3, 8, 20])
)
def test_resampling_is_the_mean_of_tiny_pixels(seed, height, width, side):
  rng = np.random.default_rng(seed)
  mask = (rng.random((height, width)) < 0.5).astype(np.uint8)
  # Corners at tenths of pixels, so that a copy ten times as large has them at its pixels.
  x0, x1 = np.sort(rng.choice(10 * width + 1, 2, replace=False)) / 10
  y0, y1 = np.sort(rng.choice(10 * height + 1, 2, replace=False)) / 10
  large = mask.repeat(10, 0).repeat(10, 1)
  part = large[round(10 * y0) : round(10 * y1), round(10 * x0) : round(10 * x1)]
  fine = part.repeat(side, 0).repeat(side, 1).astype(np.float64)
  cells = fine.reshape(side, part.shape[0], side, part.shape[1]).mean((1, 3))
  found = objects.resample(mask, np.array([x0, y0, x1, y1]), side)
  np.testing.assert_allclose(found, 255 * cells, atol=0.51)


@given(st.integers(0, 2**32), st.booleans())
def test_masks_lie_where_their_boxes_lie_in_the_moved_image(seed, flip):
  rng = np.random.default_rng(seed)
  height, width = rng.integers(60, 120, 2)
  mask = np.zeros((height, width), np.uint8)
  centre = (int(rng.integers(0, width)), int(rng.integers(0, height)))
  cv2.ellipse(mask, centre, (25, 18), float(rng.uniform(0, 180)), 0, 360, 1, -1)
  rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
  box = [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]
  new = objects.resized_size((height, width), (180, 150))
  out = Padding(max_objects=1, masks=True).arrays(
    record([box], masks=[mask]), Move((height, width), new, flip)
  )
  moved = cv2.resize(mask * 255, new[::-1], interpolation=cv2.INTER_LINEAR)
  moved = moved[:, ::-1] if flip else moved
  x0, y0, x1, y1 = np.rint(out["boxes"][0]).astype(int)
  pasted = np.zeros(new, np.uint8)
  pasted[y0:y1, x0:x1] = cv2.resize(out["masks"][0], (x1 - x0, y1 - y0))
  both = ((pasted >= 128) & (moved >= 128)).sum()
  assert both / ((pasted >= 128) | (moved >= 128)).sum() > 0.9


def test_masks_are_needed_only_when_asked_for():
  row = record([[1, 1, 5, 5], [2, 2, 7, 7]], masks=[np.ones((9, 9)), None])
  move = Move((9, 9), (9, 9))
  assert Padding().arrays(row, move)["valid"].sum() == 2
  with pytest.raises(ValueError, match="street: annotation 51 has no segmentation"):
    Padding(masks=True).arrays(row, move)


@pytest.mark.parametrize(
  ("options", "message"),
  [
    ({"max_objects": 0}, "transform.max_objects is 0"),
    ({"mask_size": 0}, "transform.mask_size is 0"),
    ({"min_area": -1}, "transform.min_area is -1"),
  ],
)
def test_wrong_options(options, message):
  with pytest.raises(ValueError, match=message):
    Padding(**options)
