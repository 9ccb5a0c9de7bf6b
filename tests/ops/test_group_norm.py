"""Group normalisation against the formula, one group at a time, and by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hrnet_jax.ops.group_norm import group_norm, num_groups


def formula(x: np.ndarray, scale: np.ndarray, bias: np.ndarray, epsilon: float) -> np.ndarray:
  """PyTorch's definition: mean and biased variance over a group's channels and all positions."""
  y, groups = np.zeros_like(x), num_groups(x.shape[-1])
  for b in range(len(x)):
    for channels in np.split(np.arange(x.shape[-1]), groups):
      part = x[b][..., channels]
      y[b][..., channels] = (part - part.mean()) / np.sqrt(part.var() + epsilon)
  return y * scale + bias


@pytest.mark.parametrize(
  ("channels", "groups"), [(64, 32), (32, 32), (48, 16), (18, 2), (36, 4), (270, 2), (7, 1), (1, 1)]
)
def test_groups_divide_the_channels(channels: int, groups: int) -> None:
  assert num_groups(channels) == groups
  assert channels % groups == 0


@pytest.mark.parametrize("channels", [64, 18, 5])
def test_equals_the_formula(channels: int) -> None:
  rng = np.random.default_rng(channels)
  x = rng.normal(3, 2, (2, 3, 5, channels))
  scale, bias = rng.normal(size=(2, channels))
  with jax.enable_x64(True):
    y = group_norm(jnp.asarray(x), jnp.asarray(scale), jnp.asarray(bias), 1e-5)
  np.testing.assert_allclose(y, formula(x, scale, bias, 1e-5), rtol=0, atol=1e-12)


def test_a_group_by_hand() -> None:
  """1, 3, 5 and 7 in one group: mean 4, variance 5; times 2, plus 1."""
  x = jnp.array([1.0, 3, 5, 7]).reshape(1, 4, 1, 1)
  y = group_norm(x, jnp.full(1, 2.0), jnp.ones(1), 0.0)
  np.testing.assert_allclose(y.ravel(), 1 + 2 * np.array([-3, -1, 1, 3]) / np.sqrt(5), rtol=1e-6)


def test_examples_do_not_see_each_other() -> None:
  x = np.random.default_rng(0).normal(size=(3, 4, 4, 8)).astype("float32")
  ones, zeros = jnp.ones(8), jnp.zeros(8)
  together = group_norm(jnp.asarray(x), ones, zeros, 1e-5)
  for k in range(3):
    alone = group_norm(jnp.asarray(x[k : k + 1]), ones, zeros, 1e-5)
    np.testing.assert_allclose(together[k], alone[0], rtol=1e-5, atol=1e-6)


def test_statistics_of_bfloat16_maps_are_float32() -> None:
  """A mean of 256 with deviations of 1 is lost in eight bits."""
  x = jnp.asarray(256 + 2.0 * np.arange(64).reshape(1, 8, 8, 1) % 4, jnp.bfloat16)
  y = group_norm(x, jnp.ones(1), jnp.zeros(1), 0.0)
  assert y.dtype == jnp.bfloat16
  np.testing.assert_allclose(np.float64(y), np.where(np.float64(x) > 257, 1, -1), rtol=0.01)
