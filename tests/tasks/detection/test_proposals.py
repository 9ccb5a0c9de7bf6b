"""Proposals: what is best on each level, cut to the image, without what overlaps."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from hrnet_jax.ops.boxes import Convention
from hrnet_jax.tasks.detection.proposals import propose

SIZE = jnp.array([60.0, 80.0])
ANCHORS = (
  np.array([[0, 0, 20, 20], [1, 1, 21, 21], [50, 30, 90, 50]], np.float32),
  np.array([[0, 0, 20, 20], [70, 50, 120, 100]], np.float32),
)


def proposed(logits, *, candidates=10, count=6, deltas=None, size=SIZE):
  deltas = deltas or [jnp.zeros((len(a), 4)) for a in ANCHORS]
  run = functools.partial(propose, candidates=candidates, count=count, convention=Convention.MODERN)
  boxes, valid = jax.jit(run)([jnp.array(x) for x in logits], deltas, ANCHORS, size)
  return np.asarray(boxes), np.asarray(valid)


def test_the_best_come_first_and_overlap_matters_within_a_level_alone():
  boxes, valid = proposed([[1.0, 2.0, 3.0], [0.5, 4.0]])
  assert valid.tolist() == [True] * 4 + [False] * 2
  # Of the first level's two on the left the better one stays; the second level's is its own.
  expected = [[70, 50, 80, 60], [50, 30, 80, 50], [1, 1, 21, 21], [0, 0, 20, 20]]
  np.testing.assert_allclose(boxes[:4], expected)
  assert not boxes[4:].any()


def test_only_the_best_candidates_of_each_level_take_part():
  boxes, valid = proposed([[1.0, 2.0, 3.0], [0.5, 4.0]], candidates=1)
  assert valid.sum() == 2
  np.testing.assert_allclose(boxes[:2], [[70, 50, 80, 60], [50, 30, 80, 50]])


def test_boxes_beyond_the_image_are_no_proposals():
  boxes, valid = proposed([[1.0, 2.0, 3.0], [0.5, 4.0]], size=jnp.array([40.0, 45.0]))
  assert valid.sum() == 2  # the two that reach beyond the right border have no width left
  assert boxes[:2, 0].tolist() == [1, 0]


def test_no_gradient_passes():
  def total(logits: jax.Array, deltas: jax.Array) -> jax.Array:
    boxes, _ = propose(
      [logits],
      [deltas],
      ANCHORS[:1],
      SIZE,
      candidates=3,
      count=3,
      convention=Convention.MODERN,
    )
    return boxes.sum()

  gradients = jax.grad(total, (0, 1))(jnp.array([1.0, 2.0, 3.0]), jnp.full((3, 4), 0.1))
  assert not any(np.asarray(g).any() for g in gradients)
