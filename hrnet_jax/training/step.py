"""One optimisation step, pure and jitted over the mesh: state, batch -> state, scalars."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh
import optax

from hrnet_jax.checkpoint.train_state import TrainState
from hrnet_jax.distributed import collectives, runtime, sharding
from hrnet_jax.distributed.watchdog import Watchdog
from hrnet_jax.tasks.interface import Batch, Task

Scalars = dict[str, jax.Array]


def make_train_step(
  task: Task,
  tx: optax.GradientTransformation,
  mesh: Mesh,
  *,
  seed: int,
  accumulate: int = 1,
) -> Callable[[TrainState, Batch], tuple[TrainState, Scalars]]:
  """Returns `(state, batch) -> (state, scalars)`; the state is donated.

  Args:
    task: see `Task`.
    tx: optimizer.
    mesh: devices; the batch is split over it, the state replicated.
    seed: of dropout and sampling; folded with the step.
    accumulate: equal parts of the batch that are run one after the other, to save memory. The
      step is that of the whole batch with BatchNorm over parts: see `accumulated`.

  The step raises ValueError for a height that the mesh cannot split.
  """

  def loss_fn(params: Any, batch_stats: Any, batch: Batch, key: jax.Array) -> tuple:
    outputs, updates = task.model.apply(
      {"params": params, "batch_stats": batch_stats},
      task.normalize(batch["image"]),
      train=True,
      mutable=["batch_stats"],
      rngs={"dropout": key, "sampling": key},
      **task.inputs(batch),
    )
    loss, scalars = task.loss(outputs, batch)
    return loss, (updates.get("batch_stats", {}), {"loss": loss, **scalars})

  gradient = jax.grad(loss_fn, has_aux=True)

  def accumulated(state: TrainState, batch: Batch, key: jax.Array) -> tuple:
    """As `gradient`, from parts: part k has the examples k, k + accumulate, ...

    A mean over the batch is the mean of the parts' means, each with the weight that it was divided
    by. The running statistics move once, from where they were, by the mean over the parts.
    """
    # Strided: a device holds one run of rows of the batch, and gives every part an equal share of
    # them. Parts of neighbouring rows would each lie on a few devices only, and all rows would have
    # to be sent around. The parts have the same examples on every mesh.
    pieces = {
      name: x.reshape(-1, accumulate, *x.shape[1:]).swapaxes(0, 1) for name, x in batch.items()
    }
    weights = jax.vmap(task.weight)(pieces)
    shares = weights / jnp.where(weights.sum() > 0, weights.sum(), 1)

    def part(totals: tuple, inputs: tuple) -> tuple:
      k, share, piece = inputs
      piece = jax.lax.with_sharding_constraint(piece, sharding.batch_shardings(mesh, piece))
      key_k = jax.random.fold_in(key, k)
      grads, (stats, scalars) = gradient(state.params, state.batch_stats, piece, key_k)
      means, moved = totals
      return (_add(means, (grads, scalars), share), _add(moved, stats, 1 / accumulate)), None

    first = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape[1:], x.dtype), pieces)
    shapes = jax.eval_shape(gradient, state.params, state.batch_stats, first, key)
    grads, (stats, scalars) = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)
    inputs = (jnp.arange(accumulate), shares, pieces)
    ((grads, scalars), stats), _ = jax.lax.scan(part, ((grads, scalars), stats), inputs)
    return grads, (stats, scalars)

  def train_step(state: TrainState, batch: Batch) -> tuple[TrainState, Scalars]:
    sharding.check_height(mesh, batch["image"].shape[1], gradients=True)
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


class StepPrograms:
  """The training step as a program for every shape of batch, of which there may be a few."""

  def __init__(self, step: Callable[..., Any], watchdog: Watchdog):
    """`step` is from `make_train_step`; the watchdog is told what is waited for."""
    self._step, self._watchdog = step, watchdog
    self._programs: dict[Any, Callable[..., Any]] = {}

  def __call__(self, number: int, state: TrainState, batch: Batch) -> tuple[TrainState, Scalars]:
    """Takes step `number`; compiles first where no batch had these shapes before."""
    shapes = tuple((name, x.shape) for name, x in sorted(batch.items()))
    if shapes not in self._programs:
      self._watchdog.watch("compiling the training step", patient=True)
      self._programs[shapes] = runtime.compiled(self._step, state, batch)
      # One process may take minutes longer than another, and collectives wait less than that.
      collectives.barrier("compiled")
    self._watchdog.watch(f"step {number} on the devices")
    return self._programs[shapes](state, batch)


def _add(totals: Any, values: Any, share: jax.Array | float) -> Any:
  return jax.tree.map(lambda t, x: t + x * jnp.asarray(share, x.dtype), totals, values)
