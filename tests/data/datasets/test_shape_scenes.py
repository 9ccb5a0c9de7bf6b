"""Scenes: deterministic, and all annotations tell the same story."""

import cv2
import numpy as np
import pytest

from hrnet_jax.data.datasets import shape_distance, shape_scenes


def draw(index, size=128):
  return shape_scenes.draw(np.random.default_rng([0, 9, index]), size)


@pytest.fixture(scope="module")
def many():
  return [draw(index) for index in range(40)]


def test_same_seed_same_scene():
  first, second, other = draw(3), draw(3), draw(4)
  for field in shape_scenes.dataclasses.fields(shape_scenes.Scene):
    a, b = getattr(first, field.name), getattr(second, field.name)
    np.testing.assert_array_equal(a, b)
    assert a.dtype == b.dtype
  assert (first.image != other.image).any()


def test_label_is_the_class_of_the_instance(many):
  for scene in many:
    want = np.concatenate([[0], scene.classes])[scene.instances]
    np.testing.assert_array_equal(scene.label, want)
    assert scene.label.dtype == scene.instances.dtype == scene.image.dtype == np.uint8


def test_boxes_hold_exactly_the_visible_part(many):
  for scene in many:
    for index, box in enumerate(scene.boxes):
      rows, columns = np.nonzero(scene.instances == index + 1)
      want = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
      np.testing.assert_array_equal(box, want)


def test_every_scene_has_a_kite_and_each_shape_is_seen(many):
  for scene in many:
    assert 1 <= len(scene.classes) <= 6
    assert (scene.classes == shape_distance.KITE).any()
    areas = np.bincount(scene.instances.ravel(), minlength=len(scene.classes) + 1)
    assert areas.min() >= 40
  seen = np.concatenate([scene.classes for scene in many])
  assert set(seen) == {1, 2, 3, 4, 5}


def test_visible_landmarks_touch_their_kite_and_hidden_ones_do_not(many):
  hidden = 0
  for scene in many:
    for index, class_id in enumerate(scene.classes):
      if class_id != shape_distance.KITE:
        assert not scene.keypoints[index].any()
        assert not scene.visible[index].any()
        continue
      for (x, y), visible in zip(scene.keypoints[index], scene.visible[index], strict=True):
        near = scene.instances[max(0, int(y) - 2) : int(y) + 4, max(0, int(x) - 2) : int(x) + 4]
        if visible:
          assert (near == index + 1).any()
        else:
          hidden += 1
          inside = 0 <= round(x) < 128 and 0 <= round(y) < 128
          assert not inside or (near != index + 1).any()
      centre = scene.keypoints[index, 4]
      if scene.visible[index, 4]:
        assert scene.instances[round(centre[1]), round(centre[0])] == index + 1
  assert hidden > 3


def test_hues_lean_to_the_class_and_nothing_else_does(many):
  colours = {class_id: [] for class_id in range(1, 5)}
  for scene in many:
    for index, class_id in enumerate(scene.classes):
      if class_id in colours:
        colours[class_id].append(scene.image[scene.instances == index + 1].mean(0))
  for class_id, means in colours.items():
    pixels = np.array(means, np.float32)[None] / 255
    hue, saturation, value = np.moveaxis(cv2.cvtColor(pixels, cv2.COLOR_RGB2HSV)[0], -1, 0)
    off = (hue - shape_scenes._HUES[class_id] + 180) % 360 - 180
    assert abs(off.mean()) < 12
    assert 4 < off.std() < 30  # but not one colour for each class
    assert saturation.std() > 0.08
    assert value.std() > 0.08


def test_other_sizes():
  scene = draw(0, 96)
  assert scene.image.shape == (96, 96, 3)
  assert scene.boxes.max() <= 96
