"""Ranks by hand, against a sort, with ties and broken numbers."""

import jax
import jax.numpy as jnp
import numpy as np

from hrnet_jax.tasks.classification.metrics import rank


def test_by_hand():
  logits = jnp.array([[0.1, 0.5, 0.4], [3.0, 2.0, 1.0], [-1.0, -3.0, -2.0]])
  assert rank(logits, jnp.array([1, 2, 2])).tolist() == [0, 2, 1]


def test_of_equal_logits_the_smaller_class_comes_first():
  logits = jnp.array([[1.0, 1.0, 1.0]] * 3)
  labels = jnp.arange(3)
  assert rank(logits, labels).tolist() == [0, 1, 2]
  _, order = jax.lax.top_k(logits, 3)
  assert order[0].tolist() == [0, 1, 2]


def test_is_the_place_in_top_k():
  rng = np.random.default_rng(0)
  logits = jnp.asarray(rng.integers(0, 6, (64, 20)), jnp.float32)  # many are equal
  labels = jnp.asarray(rng.integers(0, 20, 64), jnp.int32)
  _, order = jax.lax.top_k(logits, 20)
  want = (np.asarray(order) == np.asarray(labels)[:, None]).argmax(1)
  np.testing.assert_array_equal(jax.jit(rank)(logits, labels), want)


def test_broken_network_is_never_right():
  assert rank(jnp.full((1, 8), jnp.nan), jnp.array([0])).tolist() == [8]
  assert rank(jnp.array([[1.0, jnp.nan, 0.0]]), jnp.array([0])).tolist() == [1]
