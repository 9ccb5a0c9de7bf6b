"""Decoding equals the official code, inverts the encoding, and DARK finds tops between cells."""

import functools

from hypothesis import given, settings
from hypothesis import strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hrnet_jax.ops.heatmaps import MISSING, decode, peaks, to_image, to_whole_pixels
from hrnet_jax.ops.targets import gaussian_targets, rounded_targets
from hrnet_jax.tasks.landmarks import geometry
from hrnet_jax.tasks.landmarks.transforms import FaceRecord, LandmarksEvalTransform
from tests.golden import recipe
from tests.helpers import landmark_cases

CASES = ("l19", "l29", "l68", "l98")
property_test = settings(deadline=None, max_examples=30, database=None)


# Without optimisation the programs of these tests compile faster.
compiled = functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})


@functools.partial(compiled, static_argnames=("refine", "sigma"))
def run(heatmaps, refine, sigma=1.0):
  return decode(heatmaps, refine, sigma=sigma)


@functools.partial(compiled, static_argnames="sigma")
def gaussians(points, sigma):
  return gaussian_targets(points, (64, 64), sigma)


def golden(name):
  """A case's maps `(n, 64, 64, L)`, meta data and arrays."""
  meta, arrays = landmark_cases.load("landmarks_decoding/cases.npz")
  case = meta["cases"][name]
  maps = recipe.heatmaps(case["n"], case["num_landmarks"], case["heatmap_seed"])
  assert recipe.crc32(maps) == case["heatmap_crc32"]
  arrays = {k.removeprefix(f"{name}."): v for k, v in arrays.items() if k.startswith(f"{name}.")}
  return maps.transpose(0, 2, 3, 1), case, arrays


def whole_pixels(case):
  return np.stack(
    [
      geometry.whole_pixels(np.array(center, np.float32), scale, 64)
      for center, scale in zip(case["centers"], case["scales"], strict=True)
    ]
  )


@pytest.mark.parametrize("name", CASES)
def test_decoding_equals_the_reference(name):
  maps, case, expected = golden(name)
  # Theirs count from one, and add half a cell after the shift by a quarter.
  cells = np.asarray(run(maps, "none"))
  np.testing.assert_array_equal(cells + 1, expected["argmax"])
  positions = np.asarray(run(maps, "quarter"))
  np.testing.assert_array_equal(positions + 1.5, expected["heatmap_coords"])
  predictions = jax.jit(to_whole_pixels)(positions, whole_pixels(case))
  np.testing.assert_array_equal(predictions, expected["preds"])


# Values at (x, y), position when decoded, pixel in the image; c = (150.5, 120), s = 1.25.
BY_HAND = [
  ({(10, 20): 1, (11, 20): 0.5}, (10.25, 20), (68, 76)),
  ({(10, 20): 1, (9, 20): 0.5, (10, 21): 0.3}, (9.75, 20.25), (66, 77)),
  ({(0, 20): 1, (1, 20): 0.5}, (0, 20), (28, 76)),
  ({(1, 1): 1, (2, 1): 0.5, (1, 2): 0.5}, (1.25, 1.25), (33, 2)),
  ({(62, 62): 1, (61, 62): 0.5}, (61.75, 62), (269, 240)),
  ({(63, 62): 1, (62, 62): 0.5}, (63, 62), (274, 240)),
  ({}, (MISSING, MISSING), (24, -5)),
  ({(5, 5): -1}, (MISSING, MISSING), (24, -5)),
  ({(32, 32): 1}, (32, 32), (153, 122)),
]


def test_decoding_worked_by_hand():
  maps = np.zeros((1, 64, 64, len(BY_HAND)), np.float32)
  for landmark, (values, _, _) in enumerate(BY_HAND):
    for (x, y), value in values.items():
      maps[0, y, x, landmark] = value
  positions = run(maps, "quarter")
  np.testing.assert_array_equal(positions[0], [position for _, position, _ in BY_HAND])
  table = geometry.whole_pixels(np.array([150.5, 120], np.float32), 1.25, 64)
  pixels = to_whole_pixels(positions, table[None])
  np.testing.assert_array_equal(pixels[0], [pixel for _, _, pixel in BY_HAND])


def test_the_first_of_equal_maxima_counts():
  maps = np.zeros((1, 3, 4, 1), np.float32)
  maps[0, 1, 3] = maps[0, 2, 0] = 2
  cells, values = peaks(jnp.asarray(maps))
  assert cells.tolist() == [[[3, 1]]]
  assert values.tolist() == [[2]]


@property_test
@given(st.integers(0, 2**32 - 1), st.sampled_from([1.0, 1.5]))
def test_decoded_stamps_are_their_cells(seed, sigma):
  points = np.random.default_rng(seed).integers(5, 59, (1, 8, 2)).astype(np.float32)
  maps = rounded_targets(points, (64, 64), sigma)
  np.testing.assert_array_equal(run(maps, "quarter"), points)


@property_test
@given(st.integers(0, 2**32 - 1), st.sampled_from([1.0, 1.5, 2.0]))
def test_decoded_gaussians_are_near_their_points(seed, sigma):
  points = np.random.default_rng(seed).uniform(1, 62, (1, 8, 2)).astype(np.float32)
  maps = gaussians(points, sigma)
  assert abs(run(maps, "none") - points).max() <= 0.5
  inner = ((points > 1.5) & (points < 61.5)).all(-1)
  assert abs(run(maps, "quarter") - points)[inner].max(initial=0) <= 0.25 + 1e-5


@property_test
@given(
  st.integers(0, 2**32 - 1), st.sampled_from([1.0, 1.5, 2.0]), st.sampled_from([0.05, 1.0, 30.0])
)
def test_dark_finds_the_top_between_cells(seed, sigma, height):
  points = np.random.default_rng(seed).uniform(8, 55, (1, 8, 2)).astype(np.float32)
  maps = height * gaussians(points, sigma)
  assert abs(run(maps, "dark", sigma=sigma) - points).max() < 0.01


def test_dark_of_noisy_maps_is_closer_than_a_quarter():
  rng = np.random.default_rng(0)
  points = rng.uniform(10, 53, (8, 20, 2)).astype(np.float32)
  maps = np.asarray(gaussians(points, 1.5))
  noise = rng.standard_normal(maps.shape).astype(np.float32)
  errors = {
    refine: np.linalg.norm(run(maps + 0.05 * noise, refine, sigma=1.5) - points, axis=-1).mean()
    for refine in ("none", "quarter", "dark")
  }
  assert errors["dark"] < 0.6 * errors["quarter"] < 0.6 * errors["none"]


@pytest.mark.parametrize("refine", ["dark", "quarter", "none"])
def test_every_map_gives_a_position_near_its_peak(refine):
  maps = np.random.default_rng(1).standard_normal((4, 16, 12, 30)).astype(np.float32)
  positions = np.asarray(run(maps, refine))
  cells, _ = peaks(jnp.asarray(maps))
  assert np.isfinite(positions).all()
  assert abs(positions - cells).max() <= 2


def test_half_precision_is_decoded_in_single():
  points = np.full((1, 1, 2), 20.3, np.float32)
  maps = gaussians(points, 1.5).astype(jnp.bfloat16)
  positions = run(maps, "dark", sigma=1.5)
  assert positions.dtype == jnp.float32
  np.testing.assert_allclose(positions, points, atol=0.05)


def test_unknown_refinements_are_named():
  with pytest.raises(ValueError, match=r"unknown refinement 'taylor'; known: dark, none, quarter"):
    decode(jnp.zeros((1, 4, 4, 1)), "taylor")


@property_test
@given(st.integers(0, 2**32 - 1), st.floats(0.1, 6))
def test_to_image_inverts_the_crop(seed, scale):
  rng = np.random.default_rng(seed)
  center, points = rng.uniform(0, 900, 2), rng.uniform(0, 900, (7, 2))
  in_map = geometry.transform(geometry.crop_matrix(center, scale, 64), points) - 0.5
  window = geometry.window(center, scale).astype(np.float32)
  back = to_image(jnp.asarray(in_map[None], jnp.float32), jnp.asarray(window[None]), 64)
  np.testing.assert_allclose(back[0], points, atol=2e-3)


@property_test
@given(st.integers(0, 2**32 - 1), st.floats(0.3, 3))
def test_affine_examples_decode_to_their_annotation(seed, scale):
  rng = np.random.default_rng(seed)
  center = rng.uniform(100, 900, 2)
  points = center + 80 * scale * rng.uniform(-1, 1, (8, 2))
  face = FaceRecord(np.zeros((40, 40, 3), np.uint8), points, center, scale)
  example = LandmarksEvalTransform(crop="affine").apply(face)
  positions = run(gaussians(example["heatmap_points"][None], 1.5), "dark", sigma=1.5)
  pixels = to_image(positions, jnp.asarray(example["window"])[None], 64)
  # A cell is as large as 4 scale pixels of the image.
  np.testing.assert_allclose(pixels[0], points, atol=0.01 * 4 * scale + 2e-3)
