"""One step of training from random weights, and the comparison of what it leaves."""

from typing import Any

import jax
import numpy as np

from hrnet_jax.distributed import sharding
from hrnet_jax.training import optimizer
from hrnet_jax.training.step import make_train_step
from tests.helpers import toy

# Without decay the momentum after one step is the gradient.
_, TX = optimizer.build(10, name="sgd", learning_rate=0.1, schedule={"name": "constant"})


def momentum(state: Any) -> Any:
  """The gradient, as plain SGD keeps it."""
  return state.opt_state[0][1].trace


def run(task: Any, mesh: Any, batch: dict[str, np.ndarray], **options: Any) -> tuple[Any, Any]:
  """State and scalars after one step, always from the same weights."""
  step = make_train_step(task, TX, mesh, seed=0, **options)
  args = toy.make_state(task.model, TX, mesh), sharding.to_global(batch, mesh)
  state, scalars = toy.compile_fast(step, *args)(*args)
  return jax.device_get(state), jax.device_get(scalars)


def assert_close(actual: Any, expected: Any, tolerance: float) -> None:
  """Every tensor is as near as `tolerance` times its norm; near zero, a share of the largest."""
  # The bias of a convolution before a norm has no gradient but rounding.
  least = 1e-3 * max(np.linalg.norm(np.float64(y)) for y in jax.tree.leaves(expected))

  def check(path: Any, x: Any, y: Any) -> None:
    error = np.linalg.norm(np.float64(x) - y) / max(np.linalg.norm(np.float64(y)), least)
    assert error <= tolerance, f"{jax.tree_util.keystr(path)} is off by {error:.1e}"

  jax.tree_util.tree_map_with_path(check, actual, expected)


def assert_same(actual: tuple[Any, Any], expected: tuple[Any, Any], tolerance: float) -> None:
  """Loss, every other scalar, gradient, parameters and statistics of two runs."""
  (state, scalars), (other, others) = actual, expected
  assert scalars.keys() == others.keys()
  for name, value in others.items():
    np.testing.assert_allclose(scalars[name], value, rtol=tolerance, err_msg=name)
  assert_close(momentum(state), momentum(other), tolerance)
  assert_close(state.params, other.params, tolerance)
  assert_close(state.batch_stats, other.batch_stats, tolerance)
  assert state.step == other.step == 1
