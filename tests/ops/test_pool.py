"""Average pooling against NumPy, and its gradient against plain differentiation."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hrnet_jax.ops.pool import average_pool


@pytest.mark.parametrize("size", [(4, 6), (5, 6), (4, 7), (3, 3)])
def test_halving_is_the_mean_of_four(size):
  x = np.random.default_rng(0).normal(size=(2, *size, 3)).astype(np.float32)
  h, w = size[0] // 2, size[1] // 2
  expected = x[:, : 2 * h, : 2 * w].reshape(2, h, 2, w, 2, 3).mean((2, 4))
  np.testing.assert_allclose(average_pool(x), expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("size", [(4, 6), (5, 6), (5, 7)])
def test_the_gradient_is_that_of_the_plain_pooling(size):
  rng = np.random.default_rng(1)
  x = jnp.asarray(rng.normal(size=(2, *size, 3)), jnp.float32)
  weight = jnp.asarray(rng.normal(size=(2, size[0] // 2, size[1] // 2, 3)), jnp.float32)

  def loss(pool, x):
    return jnp.sum(weight * pool(x) ** 2)

  plain = jax.grad(lambda x: loss(lambda x: nn.avg_pool(x, (2, 2), (2, 2)), x))(x)
  np.testing.assert_allclose(
    jax.grad(lambda x: loss(average_pool, x))(x), plain, rtol=1e-6, atol=1e-6
  )
