"""A network as a module of Flax NNX, by Flax's own bridge: the same outputs and gradients."""

from collections.abc import Callable
import functools
from typing import Any

from flax import nnx
from flax.nnx import bridge
import jax
import numpy as np
import pytest

import hrnet_jax

MODEL = {"width": 4, "modules": (1, 1, 1), "blocks": 1, "bottlenecks": 1, "bottleneck_width": 4}
IMAGES = np.random.default_rng(1).standard_normal((2, 32, 32, 3)).astype("float32")


def as_nnx(model: Any, variables: dict[str, Any]) -> nnx.Module:
  """The network with our variables."""
  module = bridge.lazy_init(bridge.ToNNX(model, rngs=nnx.Rngs(0)), IMAGES, train=False)
  for kind, collection in ((nnx.Param, "params"), (nnx.BatchStat, "batch_stats")):
    state = nnx.state(module, kind)
    nnx.replace_by_pure_dict(state, variables[collection])
    nnx.update(module, state)
  return module


@pytest.mark.slow
def test_outputs_statistics_and_gradients_are_those_of_linen(filled: Callable) -> None:
  model = hrnet_jax.build_model(task="pose", num_landmarks=3, **MODEL)
  variables = filled(model, IMAGES)
  module = as_nnx(model, variables)

  @nnx.jit
  @functools.partial(nnx.grad, has_aux=True)
  def nnx_gradient(module: nnx.Module) -> tuple:
    y = module(IMAGES, train=True, mutable=["batch_stats"])
    return (y**2).mean(), y

  def linen_loss(params: dict) -> tuple:
    both = {**variables, "params": params}
    y, new = model.apply(both, IMAGES, train=True, mutable=["batch_stats"])
    return (y**2).mean(), (y, new["batch_stats"])

  gradient, y = nnx_gradient(module)
  expected, (linen_y, stats) = jax.jit(jax.grad(linen_loss, has_aux=True))(variables["params"])
  assert np.std(y) > 0
  np.testing.assert_allclose(y, linen_y, rtol=1e-6)
  for state, tree in ((gradient, expected), (nnx.state(module, nnx.BatchStat), stats)):
    jax.tree.map(
      functools.partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-6),
      nnx.to_pure_dict(state),
      tree,
    )
