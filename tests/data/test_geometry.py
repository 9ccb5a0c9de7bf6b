"""Geometry by hand-worked numbers, and properties that hold for all sizes."""

import cv2
from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest

from hrnet_jax.data import geometry

SIDE = st.integers(1, 40)
SIZE = st.tuples(SIDE, SIDE)
property_test = settings(deadline=None, max_examples=60, database=None)


def noise(size, seed=0, high=256):
  return np.random.default_rng(seed).integers(0, high, size, np.uint8)


def test_nearest_picks_the_lower_pixel_without_half_pixel_centres():
  np.testing.assert_array_equal(geometry.nearest_indices(4, 2), [0, 2])
  np.testing.assert_array_equal(geometry.nearest_indices(2, 5), [0, 0, 0, 1, 1])
  np.testing.assert_array_equal(geometry.nearest_indices(3, 3), [0, 1, 2])


def test_nearest_divides_twice_as_the_reference_does():
  # 1 / (49 / 49) is 1 but 1 / (n / m) may fall just below an integer: floor then gives one less.
  sizes = [(n, m) for n in range(1, 60) for m in range(1, 60)]
  once = [np.arange(m) * n // m for n, m in sizes]
  twice = [geometry.nearest_indices(n, m) for n, m in sizes]
  assert any(not np.array_equal(a, b) for a, b in zip(once, twice, strict=True))


@property_test
@given(st.integers(1, 3000), st.integers(1, 3000))
def test_nearest_is_the_rule_of_opencv(n_in, n_out):
  row = np.arange(n_in, dtype=np.float32)[None]
  expected = cv2.resize(row, (n_out, 1), interpolation=cv2.INTER_NEAREST)[0]
  np.testing.assert_array_equal(geometry.nearest_indices(n_in, n_out), expected)


def test_resize_label_by_hand():
  label = np.array([[1, 2], [3, 255]], np.uint8)
  np.testing.assert_array_equal(
    geometry.resize_label(label, (2, 4)), [[1, 1, 2, 2], [3, 3, 255, 255]]
  )
  np.testing.assert_array_equal(geometry.resize_label(label, (1, 1)), [[1]])


@property_test
@given(SIZE, SIZE)
def test_resize_label_never_invents_an_id(size, target):
  label = noise(size)
  result = geometry.resize_label(label, target)
  assert result.shape == target
  assert result.dtype == np.uint8
  assert set(np.unique(result)) <= set(np.unique(label))


def test_resize_image_uses_half_pixel_centres():
  image = np.zeros((1, 2, 3), np.uint8)
  image[0, 1] = 100
  # Centres of four output pixels lie at -0.25, 0.25, 0.75, 1.25 in units of input pixels.
  np.testing.assert_array_equal(geometry.resize_image(image, (1, 4))[0, :, 0], [0, 25, 75, 100])


def test_resize_image_to_its_own_size_is_a_copy():
  image = noise((7, 9, 3))
  np.testing.assert_array_equal(geometry.resize_image(image, (7, 9)), image)


@pytest.mark.parametrize(
  ("size", "long_side", "expected"),
  [
    ((360, 480), 528, (396, 528)),
    ((480, 360), 384, (384, 288)),
    ((360, 480), 426, (320, 426)),  # 319.5 rounds up
    ((100, 100), 50, (50, 50)),
    ((1, 1000), 10, (1, 10)),  # never no pixel at all
  ],
)
def test_long_side_size(size, long_side, expected):
  assert geometry.long_side_size(size, long_side) == expected


@pytest.mark.parametrize(
  ("size", "short_side", "expected"),
  [
    ((375, 500), 520, (520, 693)),  # 693.33
    ((500, 333), 520, (781, 520)),  # 780.78 rounds up
    ((2, 3), 3, (3, 5)),  # 4.5 rounds up
    ((40, 40), 20, (20, 20)),
  ],
)
def test_short_side_size(size, short_side, expected):
  assert geometry.short_side_size(size, short_side) == expected


def test_pad_to_by_hand():
  array = np.array([[1, 2]], np.uint8)
  np.testing.assert_array_equal(geometry.pad_to(array, (2, 3), 9), [[1, 2, 9], [9, 9, 9]])


@property_test
@given(SIZE, SIZE, st.booleans())
def test_padding_is_only_at_the_bottom_and_right(size, target, colour):
  array = noise((*size, 3) if colour else size)
  result = geometry.pad_to(array, target, 77)
  assert result.shape[:2] == tuple(np.maximum(size, target))
  np.testing.assert_array_equal(result[: size[0], : size[1]], array)
  assert (result[size[0] :] == 77).all()
  assert (result[:, size[1] :] == 77).all()


def test_crop_takes_x_as_column_and_y_as_row():
  array = np.arange(12, dtype=np.uint8).reshape(3, 4)
  np.testing.assert_array_equal(geometry.crop(array, 2, 1, (2, 2)), [[6, 7], [10, 11]])


@pytest.mark.parametrize(("x", "y"), [(3, 0), (0, 2), (-1, 0), (0, -1)])
def test_crop_outside_is_an_error(x, y):
  with pytest.raises(ValueError, match=r"2 x 2 crop at row .* leaves the 3 x 4 array"):
    geometry.crop(np.zeros((3, 4), np.uint8), x, y, (2, 2))


def test_center_crop_rounds_halves_to_even():
  array = np.arange(8, dtype=np.uint8)[None]
  assert geometry.center_crop(array, (1, 7))[0, 0] == 0  # 0.5 goes to 0
  assert geometry.center_crop(array, (1, 5))[0, 0] == 2  # 1.5 goes to 2
  assert geometry.center_crop(array, (1, 2))[0, 0] == 3


@property_test
@given(SIZE, st.booleans())
def test_flipping_twice_changes_nothing(size, colour):
  array = noise((*size, 3) if colour else size)
  np.testing.assert_array_equal(geometry.flip(geometry.flip(array)), array)
  np.testing.assert_array_equal(geometry.flip(array)[:, 0], array[:, -1])


def test_swap_values():
  label = np.array([[13, 14, 15, 16, 255]], np.uint8)
  np.testing.assert_array_equal(geometry.swap_values(label, ((14, 15),)), [[13, 15, 14, 16, 255]])
  assert geometry.swap_values(label, ()) is label


def test_shift_brightness_clips():
  image = np.array([[[0, 5, 250]]], np.uint8)
  np.testing.assert_array_equal(geometry.shift_brightness(image, 10), [[[10, 15, 255]]])
  np.testing.assert_array_equal(geometry.shift_brightness(image, -10), [[[0, 0, 240]]])
