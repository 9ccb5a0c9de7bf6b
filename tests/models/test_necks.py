"""Representations by hand."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hrnet_jax.models.layers import LayerConfig
from hrnet_jax.models.necks import HRNetV1, HRNetV1h, HRNetV2, HRNetV2p
from hrnet_jax.ops.resize import Resize
from hrnet_jax.tasks.classification.neck import ImageNetNeck

# Compiled as one piece without optimisation: much faster than operation by operation.
compiled = functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})


def test_maps_are_enlarged_and_concatenated_finest_first() -> None:
  """Widths 4, 2 and 1: the second row is enlarged by two, the third is constant."""
  xs = (
    jnp.array([0.0, 1, 2, 3]).reshape(1, 1, 4, 1),
    jnp.array([0.0, 4]).reshape(1, 1, 2, 1),
    jnp.array([[5.0, 6]]).reshape(1, 1, 1, 2),
  )
  y = HRNetV2(Resize.BILINEAR).apply({}, xs, train=False)
  assert y.shape == (1, 1, 4, 4)
  np.testing.assert_allclose(y[0, 0, :, 0], [0, 1, 2, 3])
  np.testing.assert_allclose(y[0, 0, :, 1], [0, 1, 3, 4])
  np.testing.assert_allclose(y[0, 0, :, 2:], [[5, 6]] * 4)


@pytest.mark.parametrize(
  ("method", "row"), [("nearest", [0, 0, 6, 6]), ("bilinear_aligned", [0, 2, 4, 6])]
)
def test_interpolation_is_that_of_the_network(method: str, row: list) -> None:
  xs = (jnp.zeros((1, 1, 4, 1)), jnp.array([0.0, 6]).reshape(1, 1, 2, 1))
  y = HRNetV2(Resize(method)).apply({}, xs, train=True)
  np.testing.assert_allclose(y[0, 0, :, 1], row, atol=1e-6)


def test_four_maps_of_width_c_give_fifteen_c() -> None:
  xs = tuple(jnp.zeros((2, n, n, 4 * 2**i)) for i, n in enumerate((17, 9, 5, 3)))
  y = jax.eval_shape(lambda xs: HRNetV2(Resize.BILINEAR).apply({}, xs, train=False), xs)
  assert y.shape == (2, 17, 17, 60)


def maps(size: int = 64, width: int = 2) -> tuple[jax.Array, ...]:
  """Four random maps of a network with an input of `size`."""
  keys = jax.random.split(jax.random.key(0), 4)
  return tuple(
    jax.random.normal(key, (1, size // 4 >> i, size // 4 >> i, width * 2**i))
    for i, key in enumerate(keys)
  )


def layer_config() -> LayerConfig:
  return LayerConfig(dtype="float32", bn_momentum=0.1, init="kaiming")


def test_v1_is_the_finest_map() -> None:
  xs = maps()
  assert HRNetV1().apply({}, xs, train=False) is xs[0]


def test_v1h_is_one_product_as_wide_as_v2() -> None:
  xs = maps()
  y, variables = HRNetV1h(layer_config()).init_with_output(jax.random.key(1), xs, train=False)
  assert y.shape[-1] == HRNetV2(Resize.BILINEAR).apply({}, xs, train=False).shape[-1] == 30
  p = variables["params"]["widen"]
  np.testing.assert_allclose(y, xs[0] @ p["kernel"][0, 0] + p["bias"], atol=1e-5)


def test_v2p_pools_the_reduced_map() -> None:
  """Odd sides lose their last row, as the reference's pooling does: 800 / 4 gives 12, not 13."""
  xs = tuple(x[:, : x.shape[1]] for x in maps(size=224))
  ys, variables = HRNetV2p(layer_config(), width=6).init_with_output(
    jax.random.key(1), xs, train=False
  )
  assert [y.shape for y in ys] == [(1, n, n, 6) for n in (56, 28, 14, 7, 3)]
  p = variables["params"]
  wide = HRNetV2(Resize.BILINEAR).apply({}, xs, train=False)
  reduced = wide @ p["reduce"]["kernel"][0, 0] + p["reduce"]["bias"]
  pooled = reduced[:, :48, :48].reshape(1, 3, 16, 3, 16, 6).mean((2, 4))
  kernel = p["level_4"]["kernel"]
  centre = jnp.einsum("yxc,yxcd->d", pooled[0], kernel) + p["level_4"]["bias"]
  np.testing.assert_allclose(ys[4][0, 1, 1], centre, atol=1e-5)


def test_classification_funnel_ends_with_2048_channels() -> None:
  xs = maps()
  neck = ImageNetNeck(layer_config())
  make = compiled(functools.partial(neck.init_with_output, train=False))
  y, variables = make(jax.random.key(1), xs)
  assert y.shape == (1, 2, 2, 2048)
  assert float(y.min()) >= 0  # ends with a ReLU
  assert set(variables["params"]) == {
    *(f"increase_{i}" for i in range(4)),
    *(f"down_{i}" for i in range(3)),
    "final",
  }
  assert "bias" in variables["params"]["down_0"]["conv"]
  assert "bias" not in variables["params"]["increase_0"]["conv1"]["conv"]


def test_coarsest_map_reaches_the_funnel_without_the_finer_ones() -> None:
  xs = maps()
  funnel = ImageNetNeck(layer_config())
  variables = compiled(functools.partial(funnel.init, train=False))(jax.random.key(1), xs)
  loss = jax.grad(lambda xs, variables: funnel.apply(variables, xs, train=False).sum())
  gradient = compiled(loss)(xs, variables)
  assert all(float(jnp.abs(g).max()) > 0 for g in gradient)
