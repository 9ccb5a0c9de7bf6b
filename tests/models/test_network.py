"""Whole segmentation networks: names, counts, dtypes, refusals, and printed numbers of PyTorch."""

from collections.abc import Callable
import functools
import json
import math
import pathlib

from flax import traverse_util
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import hrnet_jax
from hrnet_jax.convert import from_torch, to_torch
from hrnet_jax.models.backbone import VARIANTS
from hrnet_jax.models.network import build_backbone

TOY = {"width": 4, "modules": (1, 1, 1), "blocks": 1, "bottlenecks": 1, "bottleneck_width": 4}
build = functools.partial(
  hrnet_jax.build_model, task="segmentation", num_classes=19, upsample="bilinear"
)
compiled = functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})


# Learnable values of the ImageNet classification networks of the reference, without their head
# (incre_modules, downsamp_modules, final_layer, classifier).
TRUNK_PARAMETERS = {
  "w18_small_v1": 1_477_920,
  "w18_small_v2": 3_860_720,
  "w18": 9_562_260,
  "w30": 25_812_276,
  "w32": 29_305_536,
  "w40": 45_521_216,
  "w44": 54_974_640,
  "w48": 65_325_120,
  "w64": 115_697_600,
}


def traced(model: hrnet_jax.models.network.Network, size: tuple[int, int] = (64, 64)) -> tuple:
  """Shapes of logits and variables, without computing anything."""
  init = functools.partial(model.init_with_output, train=False)
  return jax.eval_shape(init, jax.random.key(0), jax.ShapeDtypeStruct((1, *size, 3), "float32"))


def reference(golden: pathlib.Path, variant: str) -> dict:
  return json.loads((golden / "models" / f"seg_{variant}.json").read_text())


def count(params: dict) -> int:
  return sum(math.prod(a.shape) for a in jax.tree.leaves(params))


def test_the_table_holds_the_nine_published_variants() -> None:
  assert set(VARIANTS) == set(TRUNK_PARAMETERS)


@pytest.mark.parametrize("variant", VARIANTS)
def test_all_variants_have_the_parameters_of_the_reference(variant: str) -> None:
  logits, variables = traced(
    build(variant=variant, scan_layers=True)
  )  # sooner, of the same variables
  assert logits.shape == (1, 16, 16, 19)
  assert count(variables["params"]["backbone"]) == TRUNK_PARAMETERS[variant]
  channels = 15 * VARIANTS[variant].width
  # a square matrix, a bias, scale and bias of the norm; then the scores with theirs
  assert count(variables["params"]["head"]) == channels * (channels + 3) + (channels + 1) * 19


@pytest.mark.parametrize("variant", ["w18_small_v1", "w18_small_v2"])
def test_tensors_are_those_of_the_reference(golden: pathlib.Path, variant: str) -> None:
  expected, model = reference(golden, variant), build(variant=variant)
  shapes = traced(model)[1]
  assert count(shapes["params"]) == expected["params"]
  assert count(shapes["batch_stats"]) == expected["bn_running_values"]
  variables = jax.tree.map(lambda a: np.zeros(a.shape, a.dtype), shapes)
  ours = {k: list(v.shape) for k, v in to_torch(model, variables).items()}
  assert ours == expected["state_dict"]


def test_tensors_of_w48_are_those_of_the_reference(golden: pathlib.Path) -> None:
  """`from_torch` names whatever differs in name or shape; traced, so nothing is allocated."""
  expected, model = reference(golden, "w48"), build(variant="w48")
  tensors = {k: np.broadcast_to(np.float32(0), s) for k, s in expected["state_dict"].items()}
  variables = jax.eval_shape(lambda: from_torch(model, tensors))
  assert len(tensors) == 1839
  assert len(jax.tree.leaves(variables)) == 1533
  assert count(variables["params"]) == expected["params"] == 65_859_379


@pytest.mark.parametrize(("size", "out"), [((65, 97), (17, 25)), ((473, 473), (119, 119))])
def test_logits_are_at_a_quarter_of_the_size_rounded_up(size: tuple, out: tuple) -> None:
  assert traced(build(**TOY), size)[0].shape == (1, *out, 19)


def test_bfloat16_computes_close_to_float32(filled: Callable) -> None:
  image = np.random.default_rng(1).standard_normal((2, 32, 48, 3)).astype(np.float32)
  logits = {}
  for dtype in ("float32", "bfloat16"):
    model = build(**TOY, dtype=dtype)
    variables = filled(model, image)
    assert {a.dtype for a in jax.tree.leaves(variables)} == {np.dtype("float32")}
    logits[dtype] = compiled(functools.partial(model.apply, train=False))(variables, image)
    assert logits[dtype].dtype == jnp.float32
  train = functools.partial(model.apply, train=True, mutable=["batch_stats"])
  trained, new = jax.eval_shape(train, variables, image)
  assert {a.dtype for a in jax.tree.leaves((trained, new))} == {np.dtype("float32")}
  error = np.abs(logits["bfloat16"] - logits["float32"]).max() / logits["float32"].std()
  assert 1e-4 < error < 0.3  # rounding to 8 bits was there, and nothing else


@pytest.mark.slow
def test_gradients_in_float32_are_off_by_rounding_only(filled: Callable) -> None:
  """No input of a ReLU is so close to zero here that rounding changes its sign.

  Where one does, as in every deep network, gradients differ by far more; see
  tests/golden/train_steps.py.
  """
  rng = np.random.default_rng(1)
  image, weight = rng.standard_normal((2, 64, 64, 3)), rng.standard_normal((2, 16, 16, 19))
  variables = filled(build(**TOY), image.astype(np.float32))

  def gradients(dtype: str) -> dict:
    model = build(**TOY, dtype=dtype)

    def loss(params: dict) -> jax.Array:
      both = {**variables, "params": params}
      y, _ = model.apply(both, image.astype(dtype), train=True, mutable=["batch_stats"])
      return (y * weight.astype(dtype)).mean()

    params = jax.tree.map(lambda a: a.astype(dtype), variables["params"])
    return traverse_util.flatten_dict(compiled(jax.grad(loss))(params), sep="/")

  ours = gradients("float32")
  with jax.enable_x64(True):
    exact = {k: np.asarray(g) for k, g in gradients("float64").items()}
  del exact["head/mix/conv/bias"]  # a norm follows: the true gradient is zero
  off = {k: np.linalg.norm(ours[k] - g) / np.linalg.norm(g) for k, g in exact.items()}
  assert max(off.values()) < 1e-4, max(off, key=off.get)


def test_examples_do_not_see_each_other_in_evaluation(filled: Callable) -> None:
  images = np.random.default_rng(1).standard_normal((2, 32, 48, 3)).astype(np.float32)
  model = build(**TOY)
  variables = filled(model, images)
  apply = compiled(functools.partial(model.apply, train=False))
  whole = apply(variables, images)
  other = apply(variables, np.stack([images[0], 0 * images[1]]))
  np.testing.assert_allclose(whole[0], other[0], atol=1e-6)
  assert np.abs(whole[1] - other[1]).max() > 0.01


@pytest.mark.parametrize(
  ("changes", "error", "message"),
  [
    ({"task": "captioning"}, ValueError, "unknown task 'captioning'; known: .*segmentation"),
    ({"variant": "w19"}, ValueError, "unknown variant 'w19'; known: w18, .*w18_small_v1.*, w64"),
    ({"upsample": "cubic"}, ValueError, "'cubic'; known: nearest, bilinear, bilinear_aligned"),
    ({"bn_momentum": 0.99}, ValueError, "weight of the new batch.*Flax's momentum is one minus it"),
    ({"init": "zeros"}, ValueError, "unknown init 'zeros'; known: kaiming"),
    ({"dtype": "float16"}, ValueError, "unknown dtype .*float16.*; known: float32, bfloat16"),
    ({"dtype": "flaot32"}, ValueError, "unknown dtype 'flaot32'; known: float32, bfloat16"),
    ({"widht": 18}, TypeError, "widht"),
    ({"variant": None}, TypeError, "width"),
  ],
)
def test_refusals_name_what_is_known(changes: dict, error: type, message: str) -> None:
  options = {"task": "segmentation", "variant": "w18", "num_classes": 2, "upsample": "bilinear"}
  with pytest.raises(error, match=message):
    hrnet_jax.build_model(**{**options, **changes})


def test_segmentation_has_no_default_upsampling() -> None:
  with pytest.raises(TypeError, match="upsample"):
    hrnet_jax.build_model(task="segmentation", variant="w18", num_classes=2)


# Printed numbers: the official PyTorch network in float64, filled in the order of its state_dict
# from one stream of random numbers (a second recipe, independent of tests/golden/recipe.py).
# Each row: mean, mean of the absolute value, and three of the logits (2, 19, h, w).


def stream(shapes: dict[str, list[int]], size: tuple[int, int]) -> tuple[dict, np.ndarray]:
  """State_dict and images, drawn in order from one generator."""
  r = np.random.RandomState(1234)
  state_dict = {}
  for key, shape in shapes.items():
    if key.endswith("num_batches_tracked"):
      continue
    if len(shape) == 4:
      value = r.standard_normal(shape) * np.sqrt(1 / math.prod(shape[1:]))
    elif key.endswith("running_var"):
      value = 1 + r.random_sample(shape)
    elif key.endswith("weight"):
      value = 0.5 + r.random_sample(shape)
    else:
      value = 0.1 * r.standard_normal(shape)
    state_dict[key] = value.astype(np.float32)
  return state_dict, r.standard_normal((2, 3, *size)).astype(np.float32).transpose(0, 2, 3, 1)


def figures(logits: jax.Array) -> list[float]:
  y = np.asarray(logits).transpose(0, 3, 1, 2)
  return [y.mean(), np.abs(y).mean(), y[0, 0, 0, 0], y[0, 3, 5, 7], y[-1, -1, -1, -1]]


def check_printed(model_options: dict, shapes: dict, size: tuple[int, int], row: list) -> None:
  state_dict, image = stream(shapes, size)
  with jax.enable_x64(True):
    model = build(**model_options, dtype="float64")
    apply = compiled(functools.partial(model.apply, train=False))
    logits = apply(from_torch(model, state_dict), image)
  assert logits.shape == (2, -(-size[0] // 4), -(-size[1] // 4), 19)
  np.testing.assert_allclose(figures(logits), row, rtol=0, atol=6e-7)  # six decimals were printed


@pytest.mark.parametrize(
  ("upsample", "size", "row"),
  [
    ("bilinear", (64, 96), [-0.137986, 0.410128, -0.254666, 0.049047, 0.159894]),
    ("bilinear_aligned", (65, 97), [-0.129339, 0.421115, -0.343395, -0.132147, 0.030112]),
    *(
      pytest.param(*case, marks=pytest.mark.slow)
      for case in (
        ("bilinear", (65, 97), [-0.110642, 0.399002, -0.344385, -0.126116, 0.037809]),
        ("bilinear_aligned", (64, 96), [-0.145848, 0.414379, -0.251871, 0.006680, 0.151315]),
      )
    ),
  ],
)
def test_printed_logits_of_small_v1(
  golden: pathlib.Path, upsample: str, size: tuple[int, int], row: list
) -> None:
  shapes = reference(golden, "w18_small_v1")["state_dict"]
  check_printed({"variant": "w18_small_v1", "upsample": upsample}, shapes, size, row)


@pytest.mark.slow
@pytest.mark.parametrize(
  ("upsample", "size", "row"),
  [
    ("bilinear", (64, 96), [-4.485576, 20.823818, -9.006934, -35.870447, -34.322032]),
    ("bilinear", (65, 97), [-5.010075, 20.401032, -8.699834, -38.963503, -17.903776]),
    ("bilinear_aligned", (64, 96), [-4.893817, 22.472683, -9.485305, -38.233219, -35.476057]),
    ("bilinear_aligned", (65, 97), [-5.652935, 22.892348, -8.205202, -41.200136, -18.760288]),
  ],
)
def test_printed_logits_of_w18(
  golden: pathlib.Path, upsample: str, size: tuple[int, int], row: list
) -> None:
  """W48's tensors with its widths scaled down to those of W18."""
  width = {48 * 2**i: 18 * 2**i for i in range(4)} | {15 * 48: 15 * 18}
  shapes = reference(golden, "w48")["state_dict"]
  shapes = {k: [width.get(n, n) for n in shape] for k, shape in shapes.items()}
  check_printed({"variant": "w18", "upsample": upsample}, shapes, size, row)


# First two channels of running statistics before and after one training step, by momentum.
PRINTED_STATISTICS = {
  "bn1.running_mean": {
    0: (-0.03198167, -0.12572092),
    0.01: (-0.03133828, -0.12438427),
    0.1: (-0.02554785, -0.11235443),
  },
  "bn1.running_var": {
    0: (1.75464630, 1.78982830),
    0.01: (1.74678707, 1.78161525),
    0.1: (1.67605398, 1.70769776),
  },
  "stage4.0.branches.3.0.bn1.running_var": {
    0.01: (1.05999687, 1.47724474),
    0.1: (1.00159580, 1.36840398),
  },
  "last_layer.1.running_mean": {
    0.01: (-0.10143906, -0.12139172),
    0.1: (-0.05758444, -0.24692187),
  },
  "last_layer.1.running_var": {
    0.01: (1.12523910, 1.20829902),
    0.1: (1.19562534, 1.30483372),
  },
}


def test_printed_statistics_of_a_training_step(golden: pathlib.Path) -> None:
  """The fourth branch sees 12 values: its unbiased variance is 9 percent above the biased one."""
  shapes = reference(golden, "w18_small_v1")["state_dict"]
  before, image = stream(shapes, (64, 96))
  with jax.enable_x64(True):
    model = build(variant="w18_small_v1", bn_momentum=0.01, dtype="float64")
    variables = from_torch(model, before)
    apply = compiled(functools.partial(model.apply, train=True, mutable=["batch_stats"]))
    logits, new = apply(variables, image)
    after = to_torch(model, {**variables, **new})
  row = [-0.041736, 0.593889, -0.992319, -0.476574, 0.961983]
  np.testing.assert_allclose(figures(logits), row, rtol=0, atol=6e-7)
  for name, printed in PRINTED_STATISTICS.items():
    old = before[name].astype(np.float64)
    batch = old + (after[name] - old) / 0.01
    for momentum, values in printed.items():
      ours = old + momentum * (batch - old)
      np.testing.assert_allclose(ours[:2], values, rtol=0, atol=1e-8, err_msg=f"{name} {momentum}")
  statistics = [k for k in after if k.endswith(("running_mean", "running_var"))]
  assert not [k for k in statistics if np.array_equal(after[k], before[k])]


@pytest.mark.parametrize(
  ("key", "value"),
  [("width", 10**6), ("blocks", 10**6), ("modules", (1, 1, 10**6)), ("bottlenecks", "4")],
)
def test_sizes_that_nobody_means_are_refused_at_once(key: str, value: object) -> None:
  with pytest.raises(ValueError, match=f"model.{key} is .*; expected whole numbers of at most"):
    build_backbone("w18", **{key: value})
  with pytest.raises(ValueError, match="channels is 'three'; expected the number"):
    build_backbone("w18", channels="three")
