"""Folded norms: the same outputs with less to compute, by hand and for every network; refusals."""

from collections.abc import Callable
import functools

from flax import traverse_util
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import hrnet_jax
from hrnet_jax import fold_batchnorm
from hrnet_jax.models.layers import BatchNorm, ConvNorm, LayerConfig
from hrnet_jax.models.network import build_neck

TOY = {"width": 4, "modules": (1, 1, 1), "blocks": 1, "bottlenecks": 1, "bottleneck_width": 4}
NETWORKS = {
  "segmentation": {"task": "segmentation", "num_classes": 5, "upsample": "bilinear"},
  "ocr": {
    "task": "segmentation",
    "num_classes": 5,
    "upsample": "bilinear_aligned",
    "head": "ocr",
  },
  "classification": {"task": "classification", "num_classes": 7},
  "pose": {"task": "pose", "num_landmarks": 6},
  "scanned": {
    "task": "segmentation",
    "num_classes": 5,
    "upsample": "bilinear",
    "scan_layers": True,
    "modules": (1, 2, 1),
    "blocks": 2,
  },
}
LAYERS = LayerConfig(dtype="float32", bn_momentum=0.1, init="kaiming", norm_epsilon=0.0)
IMAGES = np.random.default_rng(1).standard_normal((1, 64, 64, 3)).astype(np.float32)


class Pyramid(nn.Module):
  """The trunk and the neck of detection."""

  backbone: nn.Module
  neck: nn.Module

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool) -> tuple[jax.Array, ...]:
    return self.neck(self.backbone(x, train=train), train=train)


def build(name: str, dtype: str = "float32") -> nn.Module:
  if name == "pyramid":
    backbone = hrnet_jax.build_backbone(**TOY, dtype=dtype)
    return Pyramid(backbone, build_neck("v2p", backbone))
  return hrnet_jax.build_model(**{**TOY, **NETWORKS[name]}, dtype=dtype)


def run(model: nn.Module, variables: dict) -> list[np.ndarray]:
  apply = functools.partial(model.apply, train=False)
  compiled = jax.jit(apply, compiler_options={"xla_backend_optimization_level": 0})
  return [np.asarray(x, np.float64) for x in jax.tree.leaves(compiled(variables, IMAGES))]


def off(values: list[np.ndarray], expected: list[np.ndarray]) -> tuple[float, float]:
  """Largest and root mean square difference, in deviations of the expected array."""
  each = [(a - b) / b.std() for a, b in zip(values, expected, strict=True)]
  return max(np.abs(x).max() for x in each), max(np.sqrt((x**2).mean()) for x in each)


@pytest.mark.parametrize("name", [*NETWORKS, "pyramid"])
def test_every_network_stays_the_same_function(filled: Callable, name: str) -> None:
  model = build(name)
  variables = filled(model, IMAGES)
  before = jax.tree.map(np.copy, variables)
  folded, less = fold_batchnorm(model, variables)
  assert off(run(folded, less), run(model, variables))[0] < 1e-5
  jax.tree.map(np.testing.assert_array_equal, variables, before)  # the originals are kept
  paths = traverse_util.flatten_dict(less)
  assert {path[0] for path in paths} == {"params"}
  assert not [path for path in paths if "bn" in path]
  shapes = jax.eval_shape(functools.partial(folded.init, train=False), jax.random.key(0), IMAGES)
  assert jax.tree.map(jnp.shape, less) == jax.tree.map(jnp.shape, shapes)


@pytest.mark.parametrize("norm_eval", [False, True])
def test_a_detector_folds_into_its_trunk_alone(filled: Callable, norm_eval: bool) -> None:
  """Trunk and neck are compared above, what is found in tests/end_to_end/test_detection.py."""
  options = {"method": "cascade_mask_rcnn", "num_classes": 3, "norm_eval": norm_eval}
  model = hrnet_jax.build_model(task="detection", **TOY, **options)
  variables = filled(model, IMAGES)
  folded, less = fold_batchnorm(model, variables)
  flat = {k: traverse_util.flatten_dict(v) for k, v in (variables | {"less": less}).items()}
  assert {path[1] for path in flat["batch_stats"]} <= set(less["params"]["backbone"])
  assert not [path for path in flat["less"] if "bn" in path]
  for path, value in flat["params"].items():
    if path[0] != "backbone":
      assert flat["less"]["params", *path] is value
  shapes = jax.eval_shape(functools.partial(folded.init, train=False), jax.random.key(0), IMAGES)
  assert jax.tree.map(jnp.shape, less) == jax.tree.map(jnp.shape, shapes)


def test_bfloat16_stays_as_close_to_float32_as_it_was(filled: Callable) -> None:
  wide, narrow = build("segmentation"), build("segmentation", "bfloat16")
  variables = filled(wide, IMAGES)
  exact, plain = run(wide, variables), run(narrow, variables)
  folded, less = fold_batchnorm(narrow, variables)
  assert {np.dtype(x.dtype) for x in jax.tree.leaves(less)} == {np.dtype("float32")}
  worst, typical = off(run(folded, less), exact)
  worst_plain, typical_plain = off(plain, exact)
  assert 1e-3 < worst_plain < 0.2
  assert worst < 1.5 * worst_plain
  assert typical < 1.3 * typical_plain


def test_a_layer_by_hand() -> None:
  """Kernel 2, bias 1; scale 3, beta 5, mean 1, variance 4: gain 1.5, so 3 x + (1 - 1) * 1.5 + 5."""
  layer = ConvNorm(1, LAYERS, kernel=1, relu=False, use_bias=True)
  variables = {
    "params": {
      "conv": {"kernel": jnp.full((1, 1, 1, 1), 2.0), "bias": jnp.ones(1)},
      "bn": {"scale": jnp.full(1, 3.0), "bias": jnp.full(1, 5.0)},
    },
    "batch_stats": {"bn": {"mean": jnp.ones(1), "var": jnp.full(1, 4.0)}},
  }
  folded, less = fold_batchnorm(layer, variables)
  assert jax.tree.map(np.ndarray.item, less) == {"params": {"conv": {"kernel": 3, "bias": 5}}}
  x = np.full((1, 1, 1, 1), 7, np.float32)
  assert folded.apply(less, x, train=False).item() == 26
  assert layer.apply(variables, x, train=False).item() == 26


def test_nothing_of_the_norms_is_computed(filled: Callable) -> None:
  model = build("segmentation")
  variables = filled(model, IMAGES)

  def operations(model: nn.Module, variables: dict) -> list[str]:
    program = jax.make_jaxpr(functools.partial(model.apply, train=False))(variables, IMAGES)
    return [equation.primitive.name for equation in program.jaxpr.eqns]

  plain, less = operations(model, variables), operations(*fold_batchnorm(model, variables))
  norms = plain.count("rsqrt")
  assert norms == len({p[:-1] for p in traverse_util.flatten_dict(variables["batch_stats"])})
  assert "rsqrt" not in less
  # A norm is seven operations here, or more; a bias is one, or two.
  assert len(less) < len(plain) - 5 * norms


def test_folded_networks_are_not_trained(filled: Callable) -> None:
  layer = ConvNorm(2, LAYERS)
  folded, less = fold_batchnorm(layer, filled(layer, IMAGES))
  with pytest.raises(ValueError, match=r"folded.*inference alone; train the model that"):
    folded.apply(less, IMAGES, train=True)
  with pytest.raises(ValueError, match=r"folded.*inference alone"):
    build("segmentation").clone(
      backbone=hrnet_jax.build_backbone(**TOY).clone(layer_config=folded.layer_config)
    ).init(jax.random.key(0), IMAGES, train=True)


def test_what_cannot_be_folded_is_said(filled: Callable) -> None:
  layer = ConvNorm(2, LAYERS)
  variables = filled(layer, IMAGES)
  with pytest.raises(ValueError, match=r"needs a network with norms.*collections \['params'\]"):
    fold_batchnorm(layer, {"params": variables["params"]})
  with pytest.raises(ValueError, match=r"needs a network with norms.*epsilons \[\]"):
    fold_batchnorm(fold_batchnorm(layer, variables)[0], variables)

  class Alone(nn.Module):
    layer_config: LayerConfig

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
      x = ConvNorm(2, self.layer_config, name="first")(x, train=train)
      return BatchNorm(self.layer_config, name="second")(x, train=train)

  alone = Alone(LAYERS)
  with pytest.raises(ValueError, match="norm second has no convolution before it"):
    fold_batchnorm(alone, filled(alone, IMAGES))
