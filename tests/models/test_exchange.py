"""The exchange: its paths by name and width, its order of addition, and who reaches whom."""

from collections.abc import Callable
import functools

from flax import traverse_util
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hrnet_jax.models.exchange import ExchangeUnit, Stage, Transition, exchange
from hrnet_jax.models.layers import LayerConfig
from hrnet_jax.ops.resize import Resize

LAYERS = LayerConfig(dtype="float32", bn_momentum=0.1, init="kaiming")
compiled = functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})
# 473 pixels at stride 4: odd sizes that no factor of two connects.
SIDES = (119, 60, 30, 15)


def specs(branches: int, width: int = 4) -> tuple[jax.ShapeDtypeStruct, ...]:
  return tuple(
    jax.ShapeDtypeStruct((1, n, n, width * 2**i), jnp.float32)
    for i, n in enumerate(SIDES[:branches])
  )


def pyramid(branches: int, side: int = 9, width: int = 2) -> tuple[jax.Array, ...]:
  rng = np.random.default_rng(0)
  sides = [-(-side // 2**i) for i in range(branches)]
  maps = [rng.standard_normal((1, n, n, width * 2**i)) for i, n in enumerate(sides)]
  return tuple(jnp.asarray(x, jnp.float32) for x in maps)


def kernels(module: nn.Module, xs: tuple) -> dict[str, tuple[int, ...]]:
  """Path of each convolution -> its shape, without computing anything."""
  init = functools.partial(module.init, train=False)
  params = jax.eval_shape(init, jax.random.key(0), xs)["params"]
  flat = traverse_util.flatten_dict(params, sep="/")
  return {k.removesuffix("/conv/kernel"): v.shape for k, v in flat.items() if k.endswith("kernel")}


def test_exchange_is_the_rectified_sum() -> None:
  xs = (jnp.array([1.0, -4.0]), jnp.array([2.0, 1.0]))
  ys = exchange(xs, lambda j, i, x: x if i == j else 10 * x + i)
  # y_0 = x_0 + 10 * x_1; y_1 = (10 * x_0 + 1) + x_1
  np.testing.assert_array_equal(ys[0], [21, 6])
  np.testing.assert_array_equal(ys[1], [13, 0])
  np.testing.assert_array_equal(xs[0], [1, -4])
  np.testing.assert_array_equal(xs[1], [2, 1])


def test_exchange_adds_from_the_finest_branch_on() -> None:
  """(1e8 - 1e8) + 1 is 1; in any other order the 1 is lost to rounding."""
  calls = []

  def move(j: int, i: int, x: jax.Array) -> jax.Array:
    calls.append((j, i))
    return x

  xs = tuple(jnp.array(v, jnp.float32) for v in (1e8, -1e8, 1))
  assert [y.item() for y in exchange(xs, move)] == [1, 1, 1]
  assert calls == [(j, i) for i in range(3) for j in range(3)]


@pytest.mark.parametrize(
  ("branches", "expected"),
  [
    (2, {"up_1_0": (1, 1, 8, 4), "down_0_1_0": (3, 3, 4, 8)}),
    (
      3,
      {
        "up_1_0": (1, 1, 8, 4),
        "up_2_0": (1, 1, 16, 4),
        "up_2_1": (1, 1, 16, 8),
        "down_0_1_0": (3, 3, 4, 8),
        "down_0_2_0": (3, 3, 4, 4),
        "down_0_2_1": (3, 3, 4, 16),
        "down_1_2_0": (3, 3, 8, 16),
      },
    ),
    (
      4,
      {
        "up_1_0": (1, 1, 8, 4),
        "up_2_0": (1, 1, 16, 4),
        "up_2_1": (1, 1, 16, 8),
        "up_3_0": (1, 1, 32, 4),
        "up_3_1": (1, 1, 32, 8),
        "up_3_2": (1, 1, 32, 16),
        "down_0_1_0": (3, 3, 4, 8),
        "down_0_2_0": (3, 3, 4, 4),
        "down_0_2_1": (3, 3, 4, 16),
        "down_0_3_0": (3, 3, 4, 4),
        "down_0_3_1": (3, 3, 4, 4),
        "down_0_3_2": (3, 3, 4, 32),
        "down_1_2_0": (3, 3, 8, 16),
        "down_1_3_0": (3, 3, 8, 8),
        "down_1_3_1": (3, 3, 8, 32),
        "down_2_3_0": (3, 3, 16, 32),
      },
    ),
  ],
)
def test_paths_are_the_documented_ones(branches: int, expected: dict) -> None:
  unit = ExchangeUnit(Resize.BILINEAR, LAYERS)
  assert kernels(unit, specs(branches)) == expected
  init = functools.partial(unit.init_with_output, train=False)
  ys, _ = jax.eval_shape(init, jax.random.key(0), specs(branches))
  assert [y.shape for y in ys] == [x.shape for x in specs(branches)]


@pytest.mark.parametrize("branches", [2, 3, 4])
def test_every_branch_reaches_every_branch(branches: int, filled: Callable) -> None:
  unit, xs = ExchangeUnit(Resize.BILINEAR, LAYERS), pyramid(branches)
  variables = filled(unit, xs)

  @compiled
  def reach(xs: tuple) -> list:
    _, vjp = jax.vjp(lambda xs: unit.apply(variables, xs, train=False), xs)
    # dys[i] holds one cotangent for each output k, which is zero but for k = i
    dys = tuple(
      jnp.stack([(i == k) * jnp.ones_like(x) for k in range(branches)]) for i, x in enumerate(xs)
    )
    return [jnp.abs(dx).max((1, 2, 3, 4)) for dx in jax.vmap(vjp)(dys)[0]]

  assert np.min(reach(xs)) > 0


def test_only_inner_downward_steps_and_the_sum_are_rectified(filled: Callable) -> None:
  """One path at a time gets kernels of minus one, the others zeros, on maps above one."""
  unit, xs = ExchangeUnit(Resize.NEAREST, LAYERS), tuple(jnp.abs(x) + 1 for x in pyramid(3, 8))
  zero = jax.tree.map(np.zeros_like, filled(unit, xs))
  flat = traverse_util.flatten_dict(zero, sep="/")
  flat = {k: v + 1 if k.endswith(("scale", "var")) else v for k, v in flat.items()}
  apply = compiled(functools.partial(unit.apply, train=False))

  def outputs(*paths: str) -> list[np.ndarray]:
    negative = {k: flat[k] - 1 for k in (f"params/{path}/conv/kernel" for path in paths)}
    return apply(traverse_util.unflatten_dict({**flat, **negative}, sep="/"), xs)

  # A path of one step subtracts more than what is there, so the sum is rectified to zero. With a
  # ReLU of its own the path would give zero, and the sum would be x_i.
  for path, i in (("up_1_0", 0), ("up_2_1", 1), ("down_0_1_0", 1), ("down_1_2_0", 2)):
    ys = outputs(path)
    np.testing.assert_array_equal(ys[i], 0)
    for k in {0, 1, 2} - {i}:
      np.testing.assert_array_equal(ys[k], xs[k])
  # Of two steps the first is rectified: nothing arrives. Without it minus times minus would.
  np.testing.assert_array_equal(outputs("down_0_2_0", "down_0_2_1")[2], xs[2])


def test_upward_path_is_projected_normalised_and_resized() -> None:
  """2 -> 3 pixels with aligned corners: norm(2 * x) at the ends and their mean between."""
  unit = ExchangeUnit(Resize.BILINEAR_ALIGNED, LAYERS)
  xs = (jnp.zeros((1, 1, 3, 1)), jnp.array([1.0, 4]).reshape(1, 1, 2, 1))
  norm = {"scale": np.full(1, 3.0), "bias": np.full(1, -1.0)}
  statistics = {"mean": np.full(1, 1.0), "var": np.full(1, 4.0)}
  params = {
    "up_1_0": {"conv": {"kernel": np.full((1, 1, 1, 1), 2.0)}, "bn": norm},
    "down_0_1_0": {"conv": {"kernel": np.zeros((3, 3, 1, 1))}, "bn": norm},
  }
  stats = {path: {"bn": statistics} for path in params}
  ys = unit.apply({"params": params, "batch_stats": stats}, xs, train=False)
  # (2 * 1 - 1) / 2 * 3 - 1 = 0.5 and (2 * 4 - 1) / 2 * 3 - 1 = 9.5
  expected = np.array([0.5, 5, 9.5]).reshape(1, 1, 3, 1)
  np.testing.assert_allclose(ys[0], expected, rtol=1e-5)


def test_stage_names_its_blocks_and_exchanges() -> None:
  names = kernels(Stage(2, 1, Resize.BILINEAR, LAYERS), specs(2))
  branches = {f"branch_{m}_{i}_0/conv{k}" for m in (0, 1) for i in (0, 1) for k in (1, 2)}
  exchanges = {f"exchange_{m}/{p}" for m in (0, 1) for p in ("up_1_0", "down_0_1_0")}
  assert set(names) == branches | exchanges
  assert names["branch_1_1_0/conv2"] == (3, 3, 8, 8)


def test_transition_adds_a_branch_and_keeps_what_fits() -> None:
  assert kernels(Transition((4, 8), LAYERS), (specs(1, 16)[0],)) == {
    "keep_0": (3, 3, 16, 4),
    "new_1": (3, 3, 16, 8),
  }
  assert kernels(Transition((4, 8, 16), LAYERS), specs(2)) == {"new_2": (3, 3, 8, 16)}
  layer, xs = Transition((2, 4, 8), LAYERS), pyramid(2)
  ys, _ = layer.init_with_output(jax.random.key(0), xs, train=False)
  assert ys[0] is xs[0]
  assert ys[1] is xs[1]
  assert ys[2].shape == (1, 3, 3, 8)  # from 9 and 5 pixels
