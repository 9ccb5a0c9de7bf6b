"""Outputs of the class of each sample."""

import jax
import jax.numpy as jnp
import numpy as np

from hrnet_jax.tasks.detection.heads import select_class

B, S, K = 3, 11, 4


def test_every_sample_gets_the_outputs_of_its_class_and_of_no_class_zero():
  rng = np.random.default_rng(0)
  outputs, classes = rng.standard_normal((B, S, K, 2, 3)), rng.integers(0, K, (B, S))
  expected = np.take_along_axis(outputs, classes[:, :, None, None, None], axis=2)[:, :, 0]
  found = select_class(jnp.asarray(outputs), jnp.asarray(classes))
  np.testing.assert_allclose(found, expected, rtol=1e-6)
  assert not select_class(jnp.asarray(outputs), jnp.full((B, S), K)).any()


def test_the_gradient_goes_to_that_class_alone():
  classes = jnp.array([[3, 0]])
  gradient = jax.grad(lambda x: select_class(x, classes).sum())(jnp.ones((1, 2, K)))
  np.testing.assert_array_equal(gradient[0], np.eye(K)[[3, 0]])
