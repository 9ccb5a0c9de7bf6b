"""Stamps equal the official ones bit for bit; Gaussians have their moments and mirror images."""

import functools

from hypothesis import given, settings
from hypothesis import strategies as st
import jax
import numpy as np
import pytest

from hrnet_jax.ops.mirror import flip_back
from hrnet_jax.ops.targets import gaussian_targets, rounded_targets
from hrnet_jax.tasks.landmarks.transforms import MISSING
from tests.golden import recipe
from tests.helpers import landmark_cases

CASES = landmark_cases.cases()
property_test = settings(deadline=None, max_examples=40, database=None)


# Without optimisation the small programs of these tests compile faster.
compiled = functools.partial(
  jax.jit,
  static_argnames=("sigma", "size"),
  compiler_options={"xla_backend_optimization_level": 0},
)


@compiled
def stamps(points, sigma, size=(64, 64)):
  return rounded_targets(points, size, sigma)


@compiled
def gaussians(points, sigma, size=(64, 64)):
  return gaussian_targets(points, size, sigma)


def stamp(cell, sigma):
  """One rounded map `(64, 64)`."""
  return np.asarray(stamps(np.float32([[cell]]), sigma))[0, :, :, 0]


@pytest.mark.parametrize("sigma", [1.0, 1.5, 2.0])
def test_stamps_equal_the_reference_bit_for_bit(sigma):
  _, arrays = landmark_cases.load("landmarks_transforms/primitives.npz")
  arguments = arrays["generate_target.arguments"]
  expected = np.zeros((len(arguments), 64, 64), np.float32)
  expected.flat[arrays["generate_target.index"]] = arrays["generate_target.value"]
  chosen = arguments[:, 2] == sigma
  assert chosen.sum() > 10
  result = stamps(arguments[chosen, :2].astype(np.float32)[:, None], sigma)
  np.testing.assert_array_equal(np.asarray(result)[..., 0], expected[chosen])


@pytest.mark.parametrize("name", sorted(CASES))
def test_targets_of_examples_equal_the_reference_bit_for_bit(name):
  case = CASES[name]
  points = landmark_cases.apply(case)["heatmap_points"]
  result = np.asarray(stamps(points[None], case["sigma"]))[0].transpose(2, 0, 1)
  assert result.dtype == np.float32
  assert np.count_nonzero(result) == case["target_nonzero"]
  assert recipe.crc32(result) == case["target_crc32"]


# sigma, cell, peak (x, y), its value, first and last column and row that are not zero, sum.
STAMPS = [
  (1.0, (30, 20), (30, 20), 1, (27, 33), (17, 23), 6.2797848),
  (1.0, (3, 3), (3, 3), 1, (0, 6), (0, 6), 6.2797848),
  (1.0, (0, 0), (0, 0), 1, (0, 3), (0, 3), 3.0729211),
  (1.0, (-1, 2), (0, 2), 0.6065307, (0, 2), (0, 5), 1.8785527),
  (1.0, (63, 63), (63, 63), 1, (60, 63), (60, 63), 3.0729211),
  (1.0, (66, 10), (63, 10), 0.0111090, (63, 63), (7, 13), 0.0278386),
  (1.5, (30, 20), (30, 20), 1, (25, 34), (15, 24), 14.1027801),
  (1.5, (5, 5), (5, 5), 1, (0, 9), (0, 9), 14.1027801),
  (1.5, (4, 4), (5, 5), 1, (0, 8), (0, 8), 13.8890483),
  (1.5, (3, 3), (4, 4), 1, (0, 7), (0, 7), 13.8602482),
  (1.5, (0, 0), (1, 1), 1, (0, 4), (0, 4), 9.9094152),
  (1.5, (-1, 2), (0, 3), 1, (0, 3), (0, 6), 8.6713695),
  (1.5, (-4, 10), (0, 10), 0.1353353, (0, 0), (5, 14), 0.5082336),
  (1.5, (60, 60), (60, 60), 1, (55, 63), (55, 63), 13.8890483),
  (1.5, (63, 63), (63, 63), 1, (58, 63), (58, 63), 5.6625741),
  (1.5, (68, 10), (63, 10), 0.0038659, (63, 63), (5, 14), 0.0145179),
]


@pytest.mark.parametrize(
  ("sigma", "cell", "peak", "value", "columns", "rows", "total"), STAMPS, ids=str
)
def test_stamps_worked_by_hand(sigma, cell, peak, value, columns, rows, total):
  result = stamp(cell, sigma)
  assert divmod(int(result.argmax()), 64) == peak[::-1]
  assert result.max() == pytest.approx(value, abs=1e-7)
  for axis, (first, last) in ((0, columns), (1, rows)):
    filled = np.flatnonzero(result.any(axis))
    assert (filled[0], filled[-1]) == (first, last)
  assert result.astype(float).sum() == pytest.approx(total, abs=1e-6)


@pytest.mark.parametrize("cell", [(-5, 10), (69, 10), (10, -5), (10, 69), (MISSING, MISSING)])
def test_stamps_far_outside_are_empty(cell):
  assert not stamp(cell, 1.5).any()


@property_test
@given(st.integers(0, 2**32 - 1), st.sampled_from([0.7, 1.5, 2.5]))
def test_a_gaussian_is_where_its_point_is(seed, sigma):
  point = np.random.default_rng(seed).uniform(5 * sigma, 63 - 5 * sigma, (1, 1, 2))
  result = np.asarray(gaussians(point.astype(np.float32), sigma), float)
  weights = result[0, :, :, 0]
  y, x = np.mgrid[:64, :64]
  mean = np.array([(weights * x).sum(), (weights * y).sum()]) / weights.sum()
  np.testing.assert_allclose(mean, point[0, 0], atol=1e-3)
  variance = (weights * (x - mean[0]) ** 2).sum() / weights.sum()
  assert variance == pytest.approx(sigma**2, rel=0.02)
  assert weights.sum() == pytest.approx(2 * np.pi * sigma**2, rel=0.02)


def test_gaussians_of_points_outside_fade():
  points = np.float32([[[-1.0, 10.25], [MISSING, MISSING]]])
  result = np.asarray(gaussians(points, 1.0))[0]
  assert result[10, 0, 0] == pytest.approx(np.exp(-(1 + 0.0625) / 2), rel=1e-5)
  assert not result[..., 1].any()


PAIRS = ((0, 3), (2, 7), (4, 5))


@property_test
@given(st.integers(0, 2**32 - 1), st.sampled_from([1.0, 1.5]))
def test_targets_of_mirrored_points_are_the_mirrored_targets(seed, sigma):
  points = np.random.default_rng(seed).uniform(-4, 67, (1, 9, 2)).astype(np.float32)
  mirrored = points.copy()
  mirrored[..., 0] = 63 - points[..., 0]
  for a, b in PAIRS:
    mirrored[:, [a, b]] = mirrored[:, [b, a]]
  expected = np.asarray(flip_back(gaussians(points, sigma), PAIRS))
  np.testing.assert_allclose(gaussians(mirrored, sigma), expected, atol=5e-5)


@property_test
@given(st.integers(0, 63), st.integers(0, 63))
def test_stamps_of_mirrored_cells(x, y):
  # With sigma 1 stamps are symmetric and so are targets. With 1.5 the right edge lacks a column,
  # and cells beside the left border are moved.
  mirrored = stamp((63 - x, y), 1.0)
  np.testing.assert_array_equal(mirrored, stamp((x, y), 1.0)[:, ::-1])
  if 5 <= x <= 58:
    difference = stamp((63 - x, y), 1.5) - stamp((x, y), 1.5)[:, ::-1]
    assert set(np.flatnonzero(difference.any(0))) == {63 - x - 5, 63 - x + 5} - {64, -1}


def test_maps_need_not_be_square():
  points = np.float32([[[5, 2], [0, 7]]])
  for draw in (stamps, gaussians):
    result = np.asarray(draw(points, 1.0, size=(8, 12)))
    assert result.shape == (1, 8, 12, 2)
    assert [divmod(int(m.argmax()), 12) for m in result[0].transpose(2, 0, 1)] == [(2, 5), (7, 0)]
