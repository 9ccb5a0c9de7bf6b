"""Layers: numbers by hand, initial values, dtypes and the numeric policy's refusals."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hrnet_jax.models.layers import BatchNorm, Conv, ConvNorm, LayerConfig

LAYERS = functools.partial(LayerConfig, dtype="float32", bn_momentum=0.25, init="kaiming")


def column(*values: float) -> jnp.ndarray:
  return jnp.array(values, jnp.float32).reshape(-1, 1, 1, 1)


def updated(variables: dict, x: jax.Array) -> tuple[np.ndarray, dict]:
  y, new = BatchNorm(LAYERS()).apply(variables, x, train=True, mutable=["batch_stats"])
  return np.asarray(y).ravel(), {**variables, **new}


def test_running_statistics_by_hand() -> None:
  """1 and 3: mean 2, biased variance 1, unbiased 2; then 0 and 3: 1.5, 2.25, 4.5."""
  variables = BatchNorm(LAYERS()).init(jax.random.key(0), column(1, 3), train=True)
  stats = variables["batch_stats"]
  assert (stats["mean"].item(), stats["var"].item()) == (0, 1)  # init does not count as a batch
  y, variables = updated(variables, column(1, 3))
  np.testing.assert_allclose(y, [-1, 1], atol=1e-5)
  stats = variables["batch_stats"]
  assert (stats["mean"].item(), stats["var"].item()) == (0.5, 1.25)
  y, variables = updated(variables, column(0, 3))
  np.testing.assert_allclose(y, [-1, 1], atol=1e-5)
  stats = variables["batch_stats"]
  assert stats["mean"].item() == 0.5 + 0.25 * (1.5 - 0.5)
  assert stats["var"].item() == 1.25 + 0.25 * (4.5 - 1.25)


def test_groups_by_hand() -> None:
  """1, 3 and 10, 16: means 2 and 13, biased variances 1 and 9, unbiased 2 and 18; one update."""
  layer = BatchNorm(LAYERS(bn_group_size=2))
  x = column(1, 3, 10, 16)
  variables = layer.init(jax.random.key(0), x, train=True)
  y, new = layer.apply(variables, x, train=True, mutable=["batch_stats"])
  np.testing.assert_allclose(y.ravel(), [-1, 1, -1, 1], atol=1e-5)
  stats = new["batch_stats"]
  assert stats["mean"].item() == 0.25 * 7.5
  assert stats["var"].item() == 1 + 0.25 * (10 - 1)
  alone = layer.apply(variables, x[:3], train=False)  # groups are for training
  np.testing.assert_allclose(alone, x[:3], rtol=1e-5)


def test_one_value_per_channel_has_no_variance() -> None:
  variables = BatchNorm(LAYERS()).init(jax.random.key(0), column(7), train=True)
  y, variables = updated(variables, column(7))
  assert y.tolist() == [0]
  assert variables["batch_stats"]["var"].item() == 0.75


def test_evaluation_uses_the_running_statistics() -> None:
  """(5 - 3) / sqrt(4) * 10 + 1 = 11."""
  variables = {
    "params": {"scale": jnp.array([10.0]), "bias": jnp.array([1.0])},
    "batch_stats": {"mean": jnp.array([3.0]), "var": jnp.array([4.0])},
  }
  y = BatchNorm(LAYERS(norm_epsilon=0.0)).apply(variables, column(5, 3), train=False)
  np.testing.assert_allclose(y.ravel(), [11, 1], rtol=1e-6)


def test_conv_norm_adds_bias_then_normalises_then_rectifies() -> None:
  """Kernel 2, bias 1: x = 1, -3 gives 3, -5; mean 1, variance 4 gives 1, -3; ReLU 1, 0."""
  variables = {
    "params": {
      "conv": {"kernel": jnp.full((1, 1, 1, 1), 2.0), "bias": jnp.ones(1)},
      "bn": {"scale": jnp.ones(1), "bias": jnp.zeros(1)},
    },
    "batch_stats": {"bn": {"mean": jnp.array([1.0]), "var": jnp.array([4.0])}},
  }
  layer = functools.partial(ConvNorm, 1, LAYERS(norm_epsilon=0.0), kernel=1, use_bias=True)
  y = layer().apply(variables, column(1, -3), train=False)
  np.testing.assert_allclose(y.ravel(), [1, 0], rtol=1e-6)
  y = layer(relu=False).apply(variables, column(1, -3), train=False)
  np.testing.assert_allclose(y.ravel(), [1, -3], rtol=1e-6)


@pytest.mark.parametrize(
  ("init", "expected"),
  [
    ("kaiming", math.sqrt(2 / (9 * 128))),
    ("normal_0.001", 0.001),
    ("uniform_fan_in", math.sqrt(1 / (3 * 9 * 64))),  # between the ends 1 / sqrt(9 * 64)
  ],
)
def test_kernels_start_with_the_named_deviation(init: str, expected: float) -> None:
  x = jnp.zeros((1, 4, 4, 64))
  layer = Conv(128, 3, LAYERS(init=init))
  kernel = layer.init(jax.random.key(0), x)["params"]["kernel"]
  assert kernel.shape == (3, 3, 64, 128)
  # 73728 draws: the standard error of the deviation is 0.26 percent
  np.testing.assert_allclose(kernel.std(), expected, rtol=0.02)
  np.testing.assert_allclose(kernel.mean(), 0, atol=0.02 * expected)


def test_biases_start_as_in_pytorch() -> None:
  layer = Conv(4096, 1, LAYERS(), use_bias=True)
  bias = layer.init(jax.random.key(0), jnp.zeros((1, 1, 1, 25)))["params"]["bias"]
  assert 0.19 < np.abs(bias).max() <= 0.2  # 1 / sqrt(25)
  np.testing.assert_allclose(bias.std(), 0.2 / math.sqrt(3), rtol=0.05)


def test_bfloat16_keeps_parameters_and_statistics_in_float32() -> None:
  layer = ConvNorm(3, LAYERS(dtype="bfloat16"), use_bias=True)
  x = jax.ShapeDtypeStruct((2, 4, 4, 2), "float32")
  variables = jax.eval_shape(lambda x: layer.init(jax.random.key(0), x, train=False), x)
  assert {a.dtype for a in jax.tree.leaves(variables)} == {jnp.dtype("float32")}
  for train in (False, True):
    apply = functools.partial(layer.apply, train=train, mutable=["batch_stats"])
    y, new = jax.eval_shape(apply, variables, x)
    assert y.dtype == jnp.bfloat16
    assert {a.dtype for a in jax.tree.leaves(new)} == {jnp.dtype("float32")}


@pytest.mark.parametrize(
  ("changes", "message"),
  [
    (
      {"bn_momentum": 0.99},
      r"weight of the new batch.* got 0\.99; Flax's momentum is one minus it",
    ),
    ({"bn_momentum": 0.0}, "weight of the new batch"),
    ({"bn_group_size": -1}, "bn_group_size is -1; expected a number of examples, or 0"),
    ({"init": "xavier"}, "unknown init 'xavier'; known: kaiming, .*normal_0.001"),
    ({"dtype": "float16"}, "unknown dtype 'float16'; known: float32, bfloat16, float64"),
    ({"dtype": "float64"}, "JAX_ENABLE_X64"),
  ],
)
def test_policy_refuses(changes: dict, message: str) -> None:
  with pytest.raises(ValueError, match=message):
    LAYERS(**changes)


def test_parameters_follow_a_float64_network() -> None:
  with jax.enable_x64(True):
    assert LAYERS(dtype="float64").param_dtype == jnp.float64
  assert LAYERS(dtype="bfloat16").param_dtype == jnp.float32
