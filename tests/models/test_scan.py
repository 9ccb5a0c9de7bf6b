"""Scanned and rematerialised networks: variables and numbers of plain ones in other programs."""

from collections.abc import Callable
import dataclasses
import functools
from typing import Any

from flax import errors
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import hrnet_jax
from hrnet_jax.models.backbone import HRNet
from hrnet_jax.models.exchange import Stage
from hrnet_jax.models.layers import LayerConfig
from hrnet_jax.models.scan import parts_of_stages
from hrnet_jax.models.summary import count
from hrnet_jax.ops.resize import Resize

SCAN, REMAT, BOTH = {"scan_layers": True}, {"remat": True}, {"scan_layers": True, "remat": True}
each_mode = pytest.mark.parametrize("mode", [SCAN, REMAT, BOTH], ids="+".join)
compiled = functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})
# Every kind of repetition: bottlenecks, blocks of a branch, modules of a stage.
DEPTH = {"width": 2, "modules": (1, 2, 2), "blocks": 2, "bottlenecks": 3, "bottleneck_width": 2}


@dataclasses.dataclass
class PartedStage:
  """A stage alone, run as the stages of a `ScannedHRNet` are."""

  stage: Stage
  mode: dict[str, bool]

  def init(self, *args: Any, **options: Any) -> Any:
    with parts_of_stages(**{"scan_layers": False, "remat": False} | self.mode):
      return self.stage.init(*args, **options)

  def apply(self, *args: Any, **options: Any) -> Any:
    with parts_of_stages(**{"scan_layers": False, "remat": False} | self.mode):
      return self.stage.apply(*args, **options)


def make_stage(
  dtype: str = "float32", outputs: int | None = None, **mode: bool
) -> Stage | PartedStage:
  """A plain stage without a mode."""
  layer_config = LayerConfig(dtype=dtype, bn_momentum=0.1, init="kaiming")
  stage = Stage(3, 2, Resize.BILINEAR, layer_config, outputs)
  return PartedStage(stage, mode) if mode else stage


def maps(dtype: str = "float32", side: int = 8) -> tuple[np.ndarray, ...]:
  rng = np.random.default_rng(0)
  shapes = [(2, side, side, 4), (2, side // 2, side // 2, 8)]
  return tuple(rng.standard_normal(shape).astype(dtype) for shape in shapes)


def widened(variables: Any) -> Any:
  return jax.tree.map(np.float64, variables)


def training(module: nn.Module, variables: dict, inputs: Any) -> tuple:
  """Outputs, new statistics and the gradient of a loss in which every output counts."""

  def loss(params: dict, inputs: Any) -> tuple:
    both = {**variables, "params": params}
    ys, new = module.apply(both, inputs, train=True, mutable=["batch_stats"])
    return sum((y.astype("float32") ** 3).mean() for y in jax.tree.leaves(ys)), (ys, new)

  gradient = jax.grad(loss, argnums=(0, 1), has_aux=True)
  return jax.device_get(compiled(gradient)(variables["params"], inputs))


def assert_close(actual: Any, expected: Any, tolerance: float) -> None:
  """Every array is as near as `tolerance` times its largest value, or nearly zero in both."""
  assert jax.tree.structure(actual) == jax.tree.structure(expected)

  def check(path: Any, x: np.ndarray, y: np.ndarray) -> None:
    assert (x.dtype, x.shape) == (y.dtype, y.shape)
    x, y = np.float64(x), np.float64(y)
    error = np.abs(x - y).max() / max(np.abs(y).max(), 1e-3)
    assert error <= tolerance, f"{jax.tree_util.keystr(path)} is off by {error:.1e}"

  jax.tree_util.tree_map_with_path(check, actual, expected)


def make_trunk(dtype: str = "float32", **options: Any) -> HRNet:
  depth = {**DEPTH, **options}
  return hrnet_jax.build_backbone(**depth, dtype=dtype, upsample="bilinear")


@pytest.mark.slow
@pytest.mark.parametrize("mode", [SCAN, BOTH], ids="+".join)
def test_trunk_trains_alike(mode: dict, filled: Callable) -> None:
  """HRNetV1, whose last exchange is not like the ones before."""
  image = np.random.default_rng(1).standard_normal((2, 64, 32, 3))
  variables = widened(filled(make_trunk().clone(outputs=1), image.astype("float32")))
  with jax.enable_x64(True):
    models = [make_trunk("float64", **options).clone(outputs=1) for options in (mode, {})]
    assert_close(*(training(model, variables, image) for model in models), 1e-12)


@pytest.mark.parametrize("mode", [SCAN, BOTH], ids="+".join)
def test_trunk_has_the_names_of_the_plain_one(mode: dict) -> None:
  """Traced: what `init` makes, `apply` takes, and statistics come back under the same names."""
  image = jax.ShapeDtypeStruct((2, 64, 32, 3), "float32")
  train = {"train": True, "mutable": ["batch_stats"]}
  found = []
  for model in (make_trunk(**mode), make_trunk()):
    variables = jax.eval_shape(functools.partial(model.init, train=False), jax.random.key(0), image)
    outputs = jax.eval_shape(functools.partial(model.apply, **train), variables, image)
    found.append((variables, outputs))
  assert found[0] == found[1]


@pytest.mark.parametrize("mode", [SCAN, BOTH], ids="+".join)
def test_outputs_of_stages_are_intermediates(mode: dict) -> None:
  """Traced, as the comparison with PyTorch takes them."""
  image = jax.ShapeDtypeStruct((2, 64, 32, 3), "float32")
  names, found = ("stem_2", "stage1", "stage2", "stage3", "stage4"), []
  for model in (make_trunk(**mode), make_trunk()):
    variables = jax.eval_shape(functools.partial(model.init, train=False), jax.random.key(0), image)
    apply = functools.partial(
      model.apply, train=False, capture_intermediates=lambda module, _: module.name in names
    )
    found.append(jax.eval_shape(apply, variables, image)[1]["intermediates"])
    assert set(found[-1]) == set(names)
  assert found[0] == found[1]


@pytest.fixture(scope="module")
def stage(filled: Callable) -> Callable:
  """`stage(dtype)` -> variables of a stage, inputs, and what the plain one gives."""

  @functools.cache
  def run(dtype: str) -> tuple:
    variables = filled(make_stage(), maps())
    if dtype == "float64":
      variables = widened(variables)
    with jax.enable_x64(dtype == "float64"):
      xs = jax.tree.map(lambda x: jnp.asarray(x, dtype), maps())
      return variables, xs, training(make_stage(dtype), variables, xs)

  return run


@pytest.mark.parametrize(
  ("mode", "dtype", "tolerance"),
  [
    pytest.param(SCAN, "float64", 1e-12, marks=pytest.mark.slow),
    pytest.param(REMAT, "float64", 1e-12, marks=pytest.mark.slow),
    (BOTH, "float64", 1e-12),
    pytest.param(SCAN, "float32", 1e-5, marks=pytest.mark.slow),
    pytest.param(BOTH, "bfloat16", 0.05, marks=pytest.mark.slow),
  ],
)
def test_stage_trains_alike(mode: dict, dtype: str, tolerance: float, stage: Callable) -> None:
  variables, xs, expected = stage(dtype)
  with jax.enable_x64(dtype == "float64"):
    gradients, results = training(make_stage(dtype, **mode), variables, xs)
  assert_close(gradients, expected[0], tolerance)
  assert_close(results, expected[1], {"float32": 1e-6}.get(dtype, tolerance))


@each_mode
def test_stage_evaluates_alike(mode: dict, stage: Callable) -> None:
  variables, xs, _ = stage("float32")
  apply = [
    compiled(functools.partial(module.apply, train=False, mutable=["batch_stats"]))
    for module in (make_stage(**mode), make_stage())
  ]
  (ys, new), (expected, _) = (f(variables, xs) for f in apply)
  assert_close(jax.device_get(ys), jax.device_get(expected), 1e-6)
  assert_close(jax.device_get(new["batch_stats"]), variables["batch_stats"], 0)
  frozen = compiled(functools.partial(make_stage(**mode).apply, train=False))(variables, xs)
  np.testing.assert_array_equal(frozen[0], ys[0])


@each_mode
def test_initial_values_are_the_same(mode: dict) -> None:
  values = [
    compiled(functools.partial(make_stage(**m).init, train=False))(jax.random.key(0), maps())
    for m in (mode, {})
  ]
  assert_close(*jax.device_get(values), 0)


@each_mode
def test_statistics_that_may_not_move_are_an_error(mode: dict, stage: Callable) -> None:
  variables, xs, _ = stage("float32")
  with pytest.raises(errors.ModifyScopeVariableError):
    jax.eval_shape(functools.partial(make_stage(**mode).apply, train=True), variables, xs)


def equations(jaxpr: Any, name: str) -> int:
  """Operations of one kind in a program, loops counted once."""
  inner = [getattr(p, "jaxpr", p) for e in jaxpr.eqns for p in e.params.values()]
  here = sum(e.primitive.name == name for e in jaxpr.eqns)
  return here + sum(equations(j, name) for j in inner if hasattr(j, "eqns"))


def test_scanned_network_is_a_small_program_with_all_the_work() -> None:
  found = []
  for model in (make_trunk(), make_trunk(**SCAN)):
    found.append(count(model, (64, 64)))
    image = jax.ShapeDtypeStruct((1, 64, 64, 3), "float32")
    shapes = jax.eval_shape(functools.partial(model.init, train=False), jax.random.key(0), image)
    program = jax.make_jaxpr(functools.partial(model.apply, train=False))(shapes, image)
    found.append(equations(program.jaxpr, "conv_general_dilated"))
  assert found[0] == found[2]  # parameters and multiply-accumulates
  # 3x3 convolutions of stem, stage 1, three times transition and stage (branches + exchanges)
  assert found[1] == 2 + 3 + (2 + 8 + 1) + (1 + 2 * (12 + 4)) + (1 + 2 * (16 + 10))
  assert found[3] == 2 + 2 + (2 + 4 + 1) + (1 + (6 + 4)) + (1 + (8 + 10))


def gradient_of(module: Stage | PartedStage, xs: tuple) -> tuple[Callable, tuple]:
  """A loss in training, and shapes of its arguments."""
  variables = jax.eval_shape(functools.partial(module.init, train=False), jax.random.key(0), xs)

  def loss(params: dict, stats: dict, xs: tuple) -> jax.Array:
    both = {"params": params, "batch_stats": stats}
    ys, _ = module.apply(both, xs, train=True, mutable=["batch_stats"])
    return sum(y.mean() for y in ys)

  return loss, (variables["params"], variables["batch_stats"], xs)


def bytes_of(tree: Any) -> int:
  return sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(tree))


@pytest.mark.parametrize("mode", [REMAT, BOTH], ids="+".join)
def test_backward_pass_of_rematerialised_modules_is_given_little(mode: dict) -> None:
  """Parameters aside, what comes into the three modules, and not what is inside them."""
  kept = []
  for module in (make_stage(**mode), make_stage()):
    loss, args = gradient_of(module, maps(side=64))
    # The function that takes the gradient is a tree of what it keeps.
    kept.append(bytes_of(jax.eval_shape(lambda *args, f=loss: jax.vjp(f, *args)[1], *args)))
  assert kept[0] < 0.15 * kept[1]


@pytest.mark.slow
def test_scanned_and_rematerialised_modules_take_less_memory() -> None:
  """On CPU, without a loop, XLA computes inner values again and then keeps them all the same."""
  bytes_taken = []
  for module in (make_stage(**BOTH), make_stage()):
    loss, args = gradient_of(module, maps(side=64))
    program = compiled(jax.grad(loss)).lower(*args).compile()
    bytes_taken.append(program.memory_analysis().temp_size_in_bytes)
  assert bytes_taken[0] < 0.6 * bytes_taken[1]
