"""Signed distances and landmarks, checked by hand on simple outlines."""

import numpy as np
import pytest

from hrnet_jax.data.datasets import shape_distance


def make(name, radius=10.0, aspect=1.0, angle=0.0, centre=(50.0, 40.0)):
  return shape_distance.Outline(
    shape_distance.CLASS_NAMES.index(name), centre, radius, aspect, angle
  )


def distance_at(shape, *points):
  x, y = np.array(points, np.float32).T
  return shape.distance(x[None], y[None])[0]


def test_disc():
  got = distance_at(make("disc"), (50, 40), (60, 40), (50, 25))
  np.testing.assert_allclose(got, [-10, 0, 5], atol=1e-5)


def test_box():
  shape = make("box", aspect=0.5)  # half sizes 4.75 and 9.5
  got = distance_at(shape, (50, 40), (54.75, 40), (50, 52.5), (60.75, 40))
  np.testing.assert_allclose(got, [-4.75, 0, 3, 6], atol=1e-5)
  turned = make("box", aspect=0.5, angle=np.pi / 2)
  np.testing.assert_allclose(distance_at(turned, (59.5, 40), (50, 44.75)), [0, 0], atol=1e-5)


def test_triangle():
  got = distance_at(make("triangle"), (50, 28.5), (50, 48), (50, 51), (50, 40))
  np.testing.assert_allclose(got[:3], [0, 0, 3], atol=1e-4)
  assert got[3] < -4


def test_star_is_not_convex():
  shape = make("star")
  on_points = distance_at(shape, (50, 28.5), (50, 40))
  np.testing.assert_allclose(on_points[0], 0, atol=1e-4)
  assert on_points[1] < -3
  between = np.array([50, 40]) + 9 * np.array([np.cos(-np.pi * 0.3), np.sin(-np.pi * 0.3)])
  assert distance_at(shape, between)[0] > 1


@pytest.mark.parametrize("name", shape_distance.CLASS_NAMES[1:])
@pytest.mark.parametrize("angle", [0.0, 0.7, -2.0])
def test_distance_has_slope_one_and_ends_within_reach(name, angle):
  shape = make(name, radius=20.0, aspect=0.8, angle=angle)
  x, y = np.meshgrid(np.arange(100, dtype=np.float32), np.arange(90, dtype=np.float32))
  distance = shape.distance(x, y)
  slope = np.hypot(*np.gradient(distance))
  assert np.median(np.abs(slope - 1)) < 1e-3
  inside = distance < 0
  assert 300 < inside.sum() < 1400
  assert np.hypot(x - 50, y - 40)[inside].max() <= shape.reach


def test_kite_landmarks_lie_on_its_outline():
  shape = make("kite", radius=20.0, angle=0.4)
  points = shape.keypoints()
  np.testing.assert_allclose(distance_at(shape, *points[:4]), 0, atol=1e-3)
  assert distance_at(shape, points[4])[0] < -5


def test_kite_upright_and_turned():
  upright = make("kite").keypoints()
  np.testing.assert_allclose(upright, [[50, 31.5], [43, 38], [57, 38], [50, 51.5], [50, 38]])
  clockwise = make("kite", angle=np.pi / 2).keypoints()  # the nose points right, left is up
  np.testing.assert_allclose(clockwise[:2], [[58.5, 40], [52, 33]], atol=1e-5)


def test_mirrored_kite_is_a_kite_with_its_pairs_swapped():
  width = 101
  mirrored = make("kite", angle=0.4).keypoints() * [-1, 1] + [width - 1, 0]
  order = np.arange(5)
  for a, b in shape_distance.FLIP_PAIRS:
    order[[a, b]] = order[[b, a]]
  np.testing.assert_allclose(mirrored[order], make("kite", angle=-0.4).keypoints(), atol=1e-4)


def test_other_shapes_have_no_landmarks():
  assert not make("star").keypoints().any()
  assert make("star").keypoints().shape == (5, 2)
