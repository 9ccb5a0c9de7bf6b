"""Mean squared error against sums by hand; examples that do not count change nothing."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hrnet_jax.tasks.landmarks.loss import mean_squared_error


def maps(seed, batch=3):
  return np.random.default_rng(seed).standard_normal((batch, 4, 5, 6)).astype(np.float32)


def test_mean_over_everything():
  outputs, targets = maps(0), maps(1)
  expected = ((outputs.astype(float) - targets) ** 2).sum() / (3 * 4 * 5 * 6)
  assert float(mean_squared_error(outputs, targets)) == pytest.approx(expected, rel=1e-6)


def test_gradient_is_that_of_the_mean():
  outputs, targets = maps(0), maps(1)
  gradient = jax.grad(mean_squared_error)(jnp.asarray(outputs), targets)
  np.testing.assert_allclose(gradient, 2 * (outputs - targets) / outputs.size, rtol=1e-5)


def test_masked_is_as_if_left_out():
  outputs, targets, mask = maps(0), maps(1), np.array([True, False, True])
  broken = np.where(mask[:, None, None, None], outputs, np.nan)
  value = mean_squared_error(broken, targets, mask)
  expected = mean_squared_error(outputs[mask], targets[mask])
  assert float(value) == pytest.approx(float(expected), rel=1e-6)
  assert float(mean_squared_error(outputs, targets, np.zeros(3, bool))) == 0


def test_half_precision_is_summed_in_single():
  outputs = jnp.asarray(maps(0), jnp.bfloat16)
  value = mean_squared_error(outputs, maps(1))
  assert value.dtype == jnp.float32
  exact = np.square(np.asarray(outputs, np.float64) - maps(1)).mean()
  assert float(value) == pytest.approx(exact, rel=1e-6)
