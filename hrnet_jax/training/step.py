"""One optimisation step and one evaluation step, both pure and jitted over the mesh."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh
import optax

from hrnet_jax.ops.normalize import normalize
from hrnet_jax.tasks.protocol import Batch, Task
from hrnet_jax.training import sharding
from hrnet_jax.training.state import TrainState

Scalars = dict[str, jax.Array]


def make_train_step(
  task: Task,
  tx: optax.GradientTransformation,
  mesh: Mesh,
  *,
  seed: int,
  accumulate: int = 1,
  prepare: Callable[[jax.Array], jax.Array] = normalize,
) -> Callable[[TrainState, Batch], tuple[TrainState, Scalars]]:
  """Returns `(state, batch) -> (state, scalars)`; the state is donated.

  Args:
    task: see `Task`.
    tx: optimizer.
    mesh: devices; the batch is split over it, the state replicated.
    seed: of dropout and the like; folded with the step.
    accumulate: equal parts of the batch that are run one after the other, to save memory.
      Gradients and scalars are their means; BatchNorm sees one part at a time.
    prepare: from the batch's images to the network's input.
  """

  def loss_fn(params: Any, batch_stats: Any, batch: Batch, key: jax.Array) -> tuple:
    outputs, updates = task.model.apply(
      {"params": params, "batch_stats": batch_stats},
      prepare(batch["image"]),
      train=True,
      mutable=["batch_stats"],
      rngs={"dropout": key},
    )
    loss, scalars = task.loss(outputs, batch)
    return loss, (updates["batch_stats"], {"loss": loss, **scalars})

  gradient = jax.grad(loss_fn, has_aux=True)

  def accumulated(state: TrainState, batch: Batch, key: jax.Array) -> tuple:
    def part(batch_stats: Any, inputs: tuple) -> tuple:
      k, piece = inputs
      piece = jax.lax.with_sharding_constraint(
        piece, {name: sharding.batch_sharding(mesh, x.ndim) for name, x in piece.items()}
      )
      key_k = jax.random.fold_in(key, k)
      grads, (batch_stats, scalars) = gradient(state.params, batch_stats, piece, key_k)
      return batch_stats, (grads, scalars)

    # Every device gives a share of its own examples to each part.
    pieces = {
      name: x.reshape(-1, accumulate, *x.shape[1:]).swapaxes(0, 1) for name, x in batch.items()
    }
    batch_stats, stacked = jax.lax.scan(part, state.batch_stats, (jnp.arange(accumulate), pieces))
    grads, scalars = jax.tree.map(lambda x: x.mean(0), stacked)
    return grads, (batch_stats, scalars)

  def train_step(state: TrainState, batch: Batch) -> tuple[TrainState, Scalars]:
    key = jax.random.fold_in(jax.random.key(seed), state.step)
    if accumulate == 1:
      grads, (batch_stats, scalars) = gradient(state.params, state.batch_stats, batch, key)
    else:
      grads, (batch_stats, scalars) = accumulated(state, batch, key)
    updates, opt_state = tx.update(grads, state.opt_state, state.params)
    state = TrainState(
      step=state.step + 1,
      params=optax.apply_updates(state.params, updates),
      batch_stats=batch_stats,
      opt_state=opt_state,
    )
    return state, {**scalars, "grad_norm": optax.tree.norm(grads)}

  everywhere = sharding.replicated(mesh)
  return jax.jit(train_step, donate_argnums=0, out_shardings=(everywhere, everywhere))


def make_eval_step(task: Task, mesh: Mesh) -> Callable[[Any, Batch], tuple[Any, Any, jax.Array]]:
  """Returns `(variables, batch) -> (sums, predictions, quality)`, all on every device.

  The caller adds the sums of all batches; quality tells good examples from bad ones.
  """

  def eval_step(variables: Any, batch: Batch) -> tuple[Any, Any, jax.Array]:
    outputs = task.outputs(variables, normalize(batch["image"]))
    predictions = task.predict(outputs, batch["image"].shape[1:3])
    return task.sums(outputs, batch), predictions, task.quality(outputs, batch)

  return jax.jit(eval_step, out_shardings=sharding.replicated(mesh))
