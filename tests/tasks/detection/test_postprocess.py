"""Detections: the best pairs of region and class, compared within a class."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from hrnet_jax.ops.boxes import Convention
from hrnet_jax.tasks.detection.postprocess import detect

BOXES = np.array([[0, 0, 10, 10], [1, 0, 11, 10], [30, 30, 50, 60]], np.float32)
# The classes of three regions, the background last.
SCORES = np.array([[0.6, 0.3, 0.1], [0.5, 0.04, 0.46], [0.1, 0.2, 0.7]], np.float32)


def detected(scores=SCORES, boxes=BOXES[:, None], valid=(True, True, True), count=6):
  run = functools.partial(detect, min_score=0.05, count=count, convention=Convention.MODERN)
  found = jax.jit(run)(jnp.array(scores), jnp.array(boxes), jnp.array(valid))
  return jax.tree.map(np.asarray, found)


def test_classes_do_not_suppress_each_other():
  found = detected()
  assert found.valid.tolist() == [True] * 4 + [False] * 2
  np.testing.assert_allclose(found.scores[:4], [0.6, 0.3, 0.2, 0.1])
  assert found.classes[:4].tolist() == [0, 1, 1, 0]
  np.testing.assert_array_equal(found.boxes[:4], BOXES[[0, 0, 2, 2]])
  assert not found.scores[4:].any()


def test_each_class_has_its_own_box_where_there_are_several():
  boxes = np.stack([BOXES, BOXES + 100], 1)
  found = detected(boxes=boxes)
  np.testing.assert_array_equal(found.boxes[:2], [BOXES[0], BOXES[0] + 100])


def test_regions_that_are_not_there_find_nothing():
  found = detected(valid=(False, True, False))
  assert found.valid.sum() == 1
  np.testing.assert_allclose(found.scores[0], 0.5)
  assert not detected(valid=(False, False, False)).valid.any()


def test_the_best_are_kept_if_there_are_too_many():
  found = detected(count=2)
  np.testing.assert_allclose(found.scores, [0.6, 0.3])
