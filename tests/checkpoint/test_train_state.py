"""The state: arrays alone, the same for the same seed, on every device."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hrnet_jax.checkpoint.train_state import all_finite, init_state, init_variables
from hrnet_jax.distributed import sharding
from hrnet_jax.training import optimizer
from tests.helpers import toy

_, TX = optimizer.build(10, name="sgd", learning_rate=0.1, schedule={"name": "constant"})


@pytest.fixture(scope="module")
def state():
  return init_state(toy.Tiny(), TX, 3, sharding.replicated(toy.make_mesh(4, 2)))


def test_state_is_arrays_on_every_device(state):
  for leaf in jax.tree.leaves(state):
    assert isinstance(leaf, jax.Array)
    assert leaf.sharding.is_fully_replicated
    assert len(leaf.addressable_shards) == 8
  assert state.step.dtype == jnp.int32
  assert state.step == 0


def test_momentum_starts_at_zero_in_the_shape_of_the_parameters(state):
  buffers = [x for x in jax.tree.leaves(state.opt_state) if x.ndim]
  assert [x.shape for x in buffers] == [x.shape for x in jax.tree.leaves(state.params)]
  assert not any(np.any(x) for x in buffers)


def test_variables_are_those_of_the_seed(state):
  expected = jax.jit(lambda: init_variables(toy.Tiny(), 3))()
  jax.tree.map(np.testing.assert_array_equal, state.variables, expected)
  other = init_state(toy.Tiny(), TX, 4, sharding.replicated(toy.make_mesh(4, 2)))
  kernels = [x.params["ConvNorm_0"]["conv"]["kernel"] for x in (state, other)]
  assert np.any(kernels[0] != kernels[1])


@pytest.mark.parametrize("bad", [np.inf, -np.inf, np.nan])
def test_one_bad_number_is_found(state, bad):
  assert all_finite(state)
  worse = dict(state.batch_stats)
  worse["ConvNorm_0"] = {"bn": worse["ConvNorm_0"]["bn"] | {"var": jnp.full(8, 1.0).at[5].set(bad)}}
  assert not all_finite(state.replace(batch_stats=worse))
