"""Positions are those of the official code to the last bit, and go there and back."""

from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest

from hrnet_jax.tasks.landmarks import geometry
from tests.golden import recipe
from tests.helpers import landmark_cases

CENTER, SCALE = np.array([150.5, 120], np.float32), 1.25
property_test = settings(deadline=None, max_examples=100, database=None)


def test_matrices_and_roundings_equal_the_reference():
  _, arrays = landmark_cases.load("landmarks_transforms/primitives.npz")
  arguments, results, matrices = (
    arrays[f"transform_pixel.{key}"] for key in ("arguments", "result", "matrix")
  )
  assert len(arguments) == 60
  for (x, y, cx, cy, scale, size, invert, rotation), result, expected in zip(
    arguments, results, matrices, strict=True
  ):
    center = np.array([cx, cy], np.float32)
    matrix = geometry.crop_matrix(center, scale, int(size), rotation)
    np.testing.assert_array_equal(matrix, expected)
    matrix = np.linalg.inv(matrix) if invert else matrix
    point = geometry.transform_to_whole(matrix, np.array([[x, y]]) - 1) + 1
    np.testing.assert_array_equal(point[0], result)


def test_matrices_worked_by_hand():
  expected = [[0.256, 0, -6.528], [0, 0.256, 1.28], [0, 0, 1]]
  np.testing.assert_allclose(geometry.crop_matrix(CENTER, SCALE, 64), expected, atol=1e-14)
  expected = [[0.2217025034, 0.128, -16.726226757], [-0.128, 0.2217025034, 24.6596995957]]
  rotated = geometry.crop_matrix(CENTER, SCALE, 64, 30)
  np.testing.assert_allclose(rotated[:2], expected, atol=1e-9)


@pytest.mark.parametrize(
  ("point", "rotation", "cell"),
  [
    ((150.5, 120), 0, (32, 32)),
    ((150.5, 120), 30, (31, 32)),  # a bit less than 32 in float64
    ((60.2, 33.3), 0, (8, 9)),
    ((60.2, 33.3), 30, (0, 24)),
    ((60.2, 33.3), -17.5, (16, 3)),
    ((25, -5), 0, (0, 0)),  # toward zero, not down
    ((25, -5), 30, (-11, 20)),
    ((20, 0.5), 0, (-1, 1)),
    ((276, 246), 0, (64, 64)),
    ((276, 246), -17.5, (52, 72)),
  ],
)
def test_cells_of_points(point, rotation, cell):
  matrix = geometry.crop_matrix(CENTER, SCALE, 64, rotation)
  np.testing.assert_array_equal(geometry.transform_to_whole(matrix, np.array([point])), [cell])


@pytest.mark.parametrize("name", sorted(landmark_cases.FLIP_PAIRS))
def test_mirrored_points_equal_the_reference(name):
  meta, arrays = landmark_cases.load("landmarks_transforms/primitives.npz")
  made = meta["fliplr_joints"][name]
  points = recipe.synthetic_points(1, made["num_landmarks"], made["seed"])[0]
  pairs = landmark_cases.FLIP_PAIRS[name]
  mirrored = geometry.mirror(points, made["width"], pairs)
  np.testing.assert_array_equal(mirrored, arrays[f"fliplr_joints.{name}"])
  np.testing.assert_allclose(geometry.mirror(mirrored, made["width"], pairs), points, atol=1e-12)


@property_test
@given(
  st.integers(0, 2**32 - 1),
  st.floats(0.05, 8),
  st.floats(-180, 180),
  st.sampled_from([32, 64, 256]),
)
def test_back_and_forth_is_the_identity(seed, scale, rotation, size):
  rng = np.random.default_rng(seed)
  points, center = rng.uniform(-500, 1500, (9, 2)), rng.uniform(-200, 1200, 2)
  matrix = geometry.crop_matrix(center, scale, size, rotation)
  back = geometry.transform(np.linalg.inv(matrix), geometry.transform(matrix, points))
  np.testing.assert_allclose(back, points, atol=1e-7)
  # The middle stays, and distances are multiplied by the ratio of the sizes.
  np.testing.assert_allclose(geometry.transform(matrix, center[None]), [[size / 2] * 2], atol=1e-9)
  moved, original = (
    np.linalg.norm(np.diff(x, axis=0), axis=1) for x in (geometry.transform(matrix, points), points)
  )
  np.testing.assert_allclose(moved, original * size / (200 * scale), rtol=1e-7)


def test_positive_rotation_is_counter_clockwise_as_seen():
  matrix = geometry.crop_matrix(CENTER, SCALE, 64, 90)
  right_of_center = geometry.transform(matrix, CENTER[None] + [[10, 0]])[0]
  np.testing.assert_allclose(right_of_center, [32, 32 - 10 * 64 / 250], atol=1e-12)  # above it


def test_window():
  np.testing.assert_array_equal(geometry.window(CENTER, SCALE), [25.5, -5, 250])


@property_test
@given(st.integers(0, 4000), st.integers(0, 4000), st.integers(20, 3000), st.integers(0, 2**32 - 1))
def test_whole_pixels_are_the_inverse_rounded_toward_zero(cx, cy, side, seed):
  # Annotated centres are halves, sides whole: many positions fall on the border of a pixel.
  center, scale = np.array([cx, cy], np.float32) / 2, side / 200 * 1.25
  table = geometry.whole_pixels(center, scale, 64)
  assert table.shape == (2, 261)
  inverse = np.linalg.inv(geometry.crop_matrix(center, scale, 64))
  for k in np.random.default_rng(seed).integers(0, 261, 20):
    position = k / 4 - 1
    exact = np.dot(inverse, [position + 0.5, position + 0.5, 1])[:2]
    np.testing.assert_array_equal(table[:, k], np.trunc(exact) + 1)
