"""Networks with GroupNorm: names, loops, and what is refused."""

from collections.abc import Callable
import functools
import re

from flax import traverse_util
import jax
import numpy as np
import pytest

import hrnet_jax
from hrnet_jax.models.layers import ConvNorm, LayerConfig
from hrnet_jax.models.network import Network
from tests.ops.test_group_norm import formula

TOY = {"width": 4, "modules": (1, 2, 1), "blocks": 2, "bottlenecks": 2, "bottleneck_width": 4}
IMAGES = np.random.default_rng(1).standard_normal((2, 32, 32, 3))


def build(norm: str = "group", **options: object) -> Network:
  return hrnet_jax.build_model(
    task="segmentation", num_classes=5, upsample="bilinear", norm=norm, **TOY, **options
  )


def paths(norm: str) -> dict[tuple[str, ...], tuple[int, ...]]:
  init = functools.partial(build(norm).init, train=False)
  shapes = traverse_util.flatten_dict(jax.eval_shape(init, jax.random.key(0), IMAGES))
  return {path: x.shape for path, x in shapes.items()}


def test_every_norm_has_a_scale_and_a_bias_and_no_statistics() -> None:
  expected = {k: shape for k, shape in paths("batch").items() if k[0] == "params"}
  renamed = {tuple("gn" if x == "bn" else x for x in k): v for k, v in expected.items()}
  assert paths("group") == renamed
  assert renamed != expected


def test_layer_is_convolution_norm_and_relu() -> None:
  layer = ConvNorm(
    8, LayerConfig(dtype="float32", bn_momentum=0.1, init="kaiming", norm="group"), kernel=1
  )
  rng = np.random.default_rng(0)
  x, kernel = rng.normal(size=(2, 3, 5, 4)), rng.normal(size=(1, 1, 4, 8))
  scale, bias = rng.normal(size=(2, 8))
  params = {"conv": {"kernel": kernel}, "gn": {"scale": scale, "bias": bias}}
  y = layer.apply({"params": jax.tree.map(np.float32, params)}, np.float32(x), train=True)
  expected = np.maximum(formula(x @ kernel[0, 0], scale, bias, 1e-5), 0)
  np.testing.assert_allclose(y, expected, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(
  "mode", [{"scan_layers": True}, {"scan_layers": True, "remat": True}], ids="+".join
)
def test_loops_and_rematerialisation_change_nothing(mode: dict, filled: Callable) -> None:
  variables = filled(build(), IMAGES.astype("float32"))
  variables = jax.tree.map(np.float64, variables)

  def gradients(model: Network) -> tuple:
    def loss(variables: dict) -> tuple:
      y, new = model.apply(variables, IMAGES, train=True, mutable=["batch_stats"])
      return (y**2).mean(), new

    gradient = jax.jit(
      jax.grad(loss, has_aux=True), compiler_options={"xla_backend_optimization_level": 0}
    )
    return jax.device_get(gradient(variables))

  with jax.enable_x64(True):
    (plain, new), (other, other_new) = (
      gradients(build(dtype="float64", **options)) for options in ({}, mode)
    )
  assert not new
  assert not other_new
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12), other, plain)


def test_folding_is_refused(filled: Callable) -> None:
  with pytest.raises(ValueError, match=r"GroupNorm, whose statistics .* use the network as it is"):
    hrnet_jax.fold_batchnorm(build(), filled(build(), IMAGES))


def test_weights_of_the_reference_are_refused(filled: Callable) -> None:
  message = re.escape("no weights for GroupNorm; set model.norm to 'batch'")
  with pytest.raises(ValueError, match=message):
    hrnet_jax.convert.from_torch(build(), {})
  with pytest.raises(ValueError, match=message):
    hrnet_jax.convert.to_torch(build(), filled(build(), IMAGES))
