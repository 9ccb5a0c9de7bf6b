"""The state that a training run carries from step to step: a pytree of arrays."""

from typing import Any

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
import optax

PyTree = Any


@flax.struct.dataclass
class TrainState:
  """Pure data: no functions, no optimizer object, no random key.

  Randomness of a step is `fold_in(key(seed), step)`, so that restoring `step` restores it.

  Attributes:
    step: int32, optimizer steps done.
    params: of the network.
    batch_stats: running means and variances of BatchNorm; empty for a network without it.
    opt_state: of the optimizer.
  """

  step: jax.Array
  params: PyTree
  batch_stats: PyTree
  opt_state: optax.OptState

  @property
  def variables(self) -> dict[str, PyTree]:
    """The collections that `model.apply` takes."""
    stats = {"batch_stats": self.batch_stats} if self.batch_stats else {}
    return {"params": self.params, **stats}


@jax.jit
def all_finite(tree: PyTree) -> jax.Array:
  """Whether no number in `tree` is infinite or NaN; scalar bool."""
  return jnp.stack([jnp.isfinite(x).all() for x in jax.tree.leaves(tree)]).all()


def init_variables(model: nn.Module, seed: int) -> dict[str, PyTree]:
  """Initial parameters and statistics; call it under `jit` or `eval_shape`."""
  # Not from `models`, so that a checkpoint can be read without them.
  channels = getattr(model, "channels", 3)
  image = jnp.zeros((1, 64, 64, channels), jnp.float32)
  return model.init(jax.random.key(seed), image, train=False)


def init_state(
  model: nn.Module, tx: optax.GradientTransformation, seed: int, sharding: jax.sharding.Sharding
) -> TrainState:
  """Initialises on the devices of `sharding`, without a copy on the host."""

  def init() -> TrainState:
    variables = init_variables(model, seed)
    return TrainState(
      step=jnp.zeros((), jnp.int32),
      params=variables["params"],
      batch_stats=variables.get("batch_stats", {}),
      opt_state=tx.init(variables["params"]),
    )

  return jax.jit(init, out_shardings=sharding)()
