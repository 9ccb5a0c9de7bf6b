"""Windows and taps against the reference's rules, worked by hand."""

from hypothesis import given
from hypothesis import strategies as st
import numpy as np
import pytest

from hrnet_jax.ops.resize import Resize, resize
from hrnet_jax.tasks.segmentation import sliding_window


def test_scale_is_relative_to_the_base_and_not_to_the_image():
  assert sliding_window.scaled_size((1024, 2048), 2048, 1.25) == (1280, 2560)
  assert sliding_window.scaled_size((360, 480), 520, 1.0) == (390, 520)
  assert sliding_window.scaled_size((500, 375), 520, 0.5) == (260, 195)


@pytest.mark.parametrize("scale", [0.5, 0.75, 1.0])
def test_whole_images_up_to_scale_one(scale):
  size = sliding_window.scaled_size((1024, 2048), 2048, scale)
  assert sliding_window.whole(size, (1024, 2048), scale) == sliding_window.Tiling(
    size, size, ((0, 0),)
  )


@pytest.mark.parametrize(("scale", "row", "column"), [(1.25, 256, 512), (2.0, 1024, 2048)])
def test_above_it_two_by_two_windows_moved_back_inside(scale, row, column):
  size = sliding_window.scaled_size((1024, 2048), 2048, scale)
  tiles = sliding_window.whole(size, (1024, 2048), scale)
  assert (tiles.canvas, tiles.window) == (size, (1024, 2048))
  assert tiles.starts == ((0, 0), (0, column), (row, 0), (row, column))


def test_a_crop_larger_than_the_scaled_image_is_cut_to_it():
  assert sliding_window.whole((60, 40), (64, 32), 1.5) == sliding_window.Tiling(
    (60, 40), (60, 32), ((0, 0), (0, 8))
  )


# Starts in one direction, from section 6.3 of the facts about the reference.
@pytest.mark.parametrize(
  ("length", "crop", "starts"),
  [
    (260, 480, [0]),
    (480, 480, [0]),
    (520, 480, [0, 320]),
    (910, 480, [0, 320, 640]),
    (1040, 480, [0, 320, 640]),
    (520, 520, [0]),
    (650, 520, [0, 346]),
    (910, 520, [0, 346, 692]),
  ],
)
def test_overlapping_windows(length, crop, starts):
  counts = sliding_window.count_windows((length, crop), (crop, crop))
  assert counts == (len(starts), 1)
  tiles = sliding_window.windows(counts, (crop, crop))
  assert [y for y, _ in tiles.starts] == starts
  assert tiles.canvas == (starts[-1] + crop, crop)


@given(
  size=st.tuples(st.integers(1, 300), st.integers(1, 300)),
  crop=st.tuples(st.integers(3, 90), st.integers(3, 90)),
)
def test_windows_cover_the_image_and_none_is_idle(size, crop):
  tiles = sliding_window.windows(sliding_window.count_windows(size, crop), crop)
  covered = np.zeros(tiles.canvas, int)
  for y, x in tiles.starts:
    covered[y : y + crop[0], x : x + crop[1]] += 1
    assert y == 0 or y < size[0]
    assert x == 0 or x < size[1]
  assert (covered > 0).all()
  assert tiles.canvas >= size or min(size) < min(crop)
  assert all(a >= b for a, b in zip(tiles.canvas, size, strict=True))


def test_images_of_several_sizes_count_their_own_windows():
  sizes = [(520, 300), (300, 520), (480, 480)]
  counts = np.max([sliding_window.count_windows(s, (480, 480)) for s in sizes], axis=0)
  tiles = sliding_window.windows(tuple(counts.tolist()), (480, 480))
  assert tiles.starts == ((0, 0), (0, 320), (320, 0), (320, 320))
  assert sliding_window.needed(tiles, (480, 480), sizes).tolist() == [
    [True, False, True, False],
    [True, True, False, False],
    [True, False, False, False],
  ]


@pytest.mark.parametrize("method", [Resize.BILINEAR, Resize.BILINEAR_ALIGNED])
def test_taps_are_those_of_resize_and_zero_beyond(method):
  low, high, weight = sliding_window.make_taps([5, 7], [8, 3], 10, method)
  assert low.shape == high.shape == weight.shape == (2, 10)
  assert (low.dtype, weight.dtype) == (np.int32, np.float32)
  for b, (n_in, n_out) in enumerate([(5, 8), (7, 3)]):
    x = np.random.default_rng(b).normal(size=n_in).astype(np.float32)
    mixed = x[low[b]] * (1 - weight[b]) + x[high[b]] * weight[b]
    expected = np.asarray(resize(x[None, :, None, None], (n_out, 1), method))[0, :, 0, 0]
    np.testing.assert_allclose(mixed[:n_out], expected, atol=1e-6)
    assert not low[b, n_out:].any()
    assert not weight[b, n_out:].any()
