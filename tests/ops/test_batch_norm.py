"""Batch normalisation against its formula and against automatic differentiation."""

import functools

import hypothesis
from hypothesis import strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hrnet_jax.ops.batch_norm import batch_norm, grouped_batch_norm

# Compiled as one piece without optimisation: much faster than operation by operation.
compiled = functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})

EPSILON = 1e-5


def inputs(shape: tuple[int, ...] = (2, 3, 5, 4)) -> tuple[np.ndarray, ...]:
  rng = np.random.default_rng(0)
  x = 3 * rng.standard_normal(shape) + 2
  return x, rng.uniform(0.5, 1.5, shape[-1]), rng.standard_normal(shape[-1])


def plain(x: jax.Array, scale: jax.Array, bias: jax.Array) -> jax.Array:
  mean, var = x.mean((0, 1, 2)), x.var((0, 1, 2))
  return (x - mean) / jnp.sqrt(var + EPSILON) * scale + bias


def test_two_values_by_hand() -> None:
  """1 and 5: mean 3, biased variance 4; with scale 2 and bias 10 that is 8 and 12."""
  x = jnp.array([1.0, 5.0]).reshape(2, 1, 1, 1)
  y, mean, var = batch_norm(x, jnp.array([2.0]), jnp.array([10.0]), 0.0)
  np.testing.assert_allclose(y.ravel(), [8, 12], rtol=1e-6)
  np.testing.assert_allclose([mean[0], var[0]], [3, 4], rtol=1e-6)


def test_equals_the_formula() -> None:
  x, scale, bias = inputs()
  with jax.enable_x64(True):
    y, mean, var = compiled(lambda *a: batch_norm(*a, EPSILON))(x, scale, bias)
  flat = x.reshape(-1, 4)
  np.testing.assert_allclose(mean, flat.mean(0), atol=1e-13)
  np.testing.assert_allclose(var, flat.var(0), atol=1e-12)
  expected = (x - flat.mean(0)) / np.sqrt(flat.var(0) + EPSILON) * scale + bias
  np.testing.assert_allclose(y, expected, atol=1e-12)


@pytest.mark.parametrize("shape", [(2, 3, 5, 4), (1, 1, 2, 3), (3, 1, 1, 1)])
def test_gradient_equals_automatic_differentiation(shape: tuple[int, ...]) -> None:
  x, scale, bias = inputs(shape)
  weight = np.random.default_rng(1).standard_normal(shape)
  with jax.enable_x64(True):
    ours = jax.grad(lambda *a: (weight * batch_norm(*a, EPSILON)[0] ** 2).sum(), argnums=(0, 1, 2))
    theirs = jax.grad(lambda *a: (weight * plain(*a) ** 2).sum(), argnums=(0, 1, 2))
    for a, b in zip(compiled(ours)(x, scale, bias), compiled(theirs)(x, scale, bias), strict=True):
      np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-10)


def test_statistics_are_constants_of_the_gradient() -> None:
  x, scale, bias = map(jnp.asarray, inputs())
  gradient = jax.grad(lambda x: sum(s.sum() for s in batch_norm(x, scale, bias, EPSILON)[1:]))
  np.testing.assert_array_equal(compiled(gradient)(x), 0)


def test_variance_survives_a_large_mean() -> None:
  """mean(x**2) - mean(x)**2 would lose every digit here."""
  x = jnp.asarray([4096.0, 4096.5, 4097.0, 4097.5], jnp.float32).reshape(4, 1, 1, 1)
  _, mean, var = batch_norm(x, jnp.ones(1), jnp.zeros(1), EPSILON)
  np.testing.assert_allclose([mean[0], var[0]], [4096.75, 0.3125], rtol=1e-6)


def test_constant_map_has_no_infinities() -> None:
  x, ones = jnp.full((2, 2, 2, 1), 7.0), jnp.ones(1)
  y, vjp = jax.vjp(lambda x: batch_norm(x, ones, ones, EPSILON)[0], x)
  np.testing.assert_allclose(y, 1, atol=1e-5)
  assert jnp.isfinite(vjp(y)[0]).all()


def test_bfloat16_maps_have_float32_statistics() -> None:
  x, scale, bias = inputs((8, 16, 16, 4))
  low = jnp.asarray(x, jnp.bfloat16)
  scale, bias = jnp.asarray(scale, jnp.float32), jnp.asarray(bias, jnp.float32)
  (y, mean, var), vjp = jax.vjp(lambda *a: batch_norm(*a, EPSILON), low, scale, bias)
  assert (y.dtype, mean.dtype, var.dtype) == (jnp.bfloat16, jnp.float32, jnp.float32)
  exact = np.asarray(low, np.float64).reshape(-1, 4)
  np.testing.assert_allclose(mean, exact.mean(0), rtol=1e-5)
  np.testing.assert_allclose(var, exact.var(0), rtol=1e-5)
  dx, dscale, dbias = vjp((y, mean, var))
  assert (dx.dtype, dscale.dtype, dbias.dtype) == (jnp.bfloat16, jnp.float32, jnp.float32)
  np.testing.assert_allclose(dbias, np.asarray(y, np.float64).sum((0, 1, 2)), rtol=1e-4, atol=1e-2)


def apart(x: np.ndarray, scale: np.ndarray, bias: np.ndarray, size: int) -> tuple:
  """Groups one after the other, as devices without a common batch would do."""
  ys, means, variances = [], [], []
  for group in np.split(x, len(x) // size):
    mean, var = group.mean((0, 1, 2)), group.var((0, 1, 2))
    ys.append((group - mean) / np.sqrt(var + EPSILON) * scale + bias)
    means.append(mean)
    variances.append(var)
  return np.concatenate(ys), np.mean(means, 0), np.mean(variances, 0)


@hypothesis.given(
  size=st.integers(1, 3), groups=st.integers(1, 3), side=st.integers(1, 2), seed=st.integers(0, 99)
)
@hypothesis.settings(max_examples=12)
def test_groups_equal_batches_of_their_own(size: int, groups: int, side: int, seed: int) -> None:
  rng = np.random.default_rng(seed)
  x = rng.normal(2, 3, (size * groups, side, 2, 2)) + 10 * rng.random((size * groups, 1, 1, 2))
  scale, bias = rng.uniform(0.5, 1.5, 2), rng.standard_normal(2)
  with jax.enable_x64(True):
    ours = compiled(lambda *a: grouped_batch_norm(*a, EPSILON, size))(x, scale, bias)
  for a, b in zip(ours, apart(x, scale, bias, size), strict=True):
    np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("size", [1, 2, 3, 6])
def test_gradient_of_groups_equals_automatic_differentiation(size: int) -> None:
  x, scale, bias = inputs((6, 3, 2, 4))
  weight = np.random.default_rng(1).standard_normal(x.shape)

  def theirs(x: jax.Array, scale: jax.Array, bias: jax.Array) -> jax.Array:
    ys = [plain(group, scale, bias) for group in jnp.split(x, 6 // size)]
    return (weight * jnp.concatenate(ys) ** 2).sum()

  def ours(x: jax.Array, scale: jax.Array, bias: jax.Array) -> jax.Array:
    return (weight * grouped_batch_norm(x, scale, bias, EPSILON, size)[0] ** 2).sum()

  with jax.enable_x64(True):
    found = [compiled(jax.grad(f, argnums=(0, 1, 2)))(x, scale, bias) for f in (ours, theirs)]
  for a, b in zip(*found, strict=True):
    np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-10)


def test_batch_that_does_not_divide_into_groups() -> None:
  x, scale, bias = inputs((4, 1, 1, 2))
  with pytest.raises(ValueError, match=r"bn_group_size is 3, .* 4 examples .* a divisor of 4"):
    grouped_batch_norm(x, scale, bias, EPSILON, 3)


@pytest.mark.parametrize(("size", "exchanged"), [(2, False), (8, True), (16, True)])
def test_devices_with_whole_groups_exchange_nothing(size: int, exchanged: bool) -> None:
  """16 examples on 8 devices: groups of 2 stay at home; larger ones need sums over devices."""
  mesh = jax.make_mesh((8,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
  rows, whole = (
    jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec(*axes)) for axes in (("data",), ())
  )
  x, scale, bias = (np.float32(a) for a in inputs((16, 2, 3, 4)))
  step = compiled(
    lambda *a: grouped_batch_norm(*a, EPSILON, size)[0],
    in_shardings=(rows, whole, whole),
    out_shardings=rows,
  )
  text = step.lower(x, scale, bias).compile().as_text()
  assert ("all-reduce(" in text) == exchanged
  assert "all-gather(" not in text
  np.testing.assert_allclose(step(x, scale, bias), apart(x, scale, bias, size)[0], atol=1e-5)
