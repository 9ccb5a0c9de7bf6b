"""Config and data set -> the parts of a run, before there are arrays."""

from collections.abc import Callable, Sequence
import dataclasses
from typing import Any

from jax.sharding import Mesh
import optax

from hrnet_jax import registry
from hrnet_jax.checkpoint.train_state import TrainState, init_state
from hrnet_jax.data.dataset import Dataset
from hrnet_jax.data.inputs import Inputs
from hrnet_jax.data.pipeline import Loader
from hrnet_jax.distributed import sharding
from hrnet_jax.errors import config_keys
from hrnet_jax.evaluation.eval_step import make_eval_step
from hrnet_jax.evaluation.evaluate import SharedStep
from hrnet_jax.tasks.interface import Task
from hrnet_jax.training import optimizer
from hrnet_jax.training.plan import Plan, make_plan
from hrnet_jax.training.step import make_train_step


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainSetup:
  """The parts of a run that are there before its arrays.

  Attributes:
    mesh: all devices of all processes.
    task: network, loss, scores.
    plan: when things happen.
    schedule: learning rate by step.
    tx: optimizer.
    train_step: from `make_train_step`.
    eval_step: scores a batch.
    inputs: the batches that this process reads.
    seed: of the initial weights.
  """

  mesh: Mesh
  task: Task
  plan: Plan
  schedule: optax.Schedule
  tx: optax.GradientTransformation
  train_step: Callable[..., Any]
  eval_step: SharedStep
  inputs: Inputs
  seed: int

  def init_state(self) -> TrainState:
    """The state of a run from scratch, whole on every device."""
    return init_state(self.task.model, self.tx, self.seed, sharding.replicated(self.mesh))

  def train_batches(self, start: int) -> Loader:
    """Training batches from batch `start` on, through both phases."""
    second = self.plan.fine_tune
    switch = (self.plan.first_steps, second.split) if second else None
    return self.inputs.train(start=start, switch=switch)


def make_setup(config: Any, dataset: Dataset, devices: Sequence[Any] | None = None) -> TrainSetup:
  """Builds the parts of a run.

  Args:
    config: see `configs/`.
    dataset: opened.
    devices: others than those that are here; see `sharding.make_mesh`.

  Raises:
    ValueError, TypeError: a value of the config is wrong, or does not fit the devices or the data
      set.
  """
  mesh = sharding.make_mesh(config.mesh, devices)
  sharding.check_batch(mesh, config.train.batch_size, "train.batch_size", config.train.accumulate)
  sharding.check_batch(mesh, config.eval.batch_size, "eval.batch_size")
  spec, task = registry.task_of(config), registry.build_task(config, dataset)
  inputs = Inputs(config, dataset, spec, *sharding.data_share(mesh))
  plan = make_plan(config, dataset)
  second = plan.fine_tune
  with config_keys(config, "optimizer", "optimizer.schedule"):
    schedule, tx = optimizer.build(
      plan.first_steps,
      fine_tune=(second.steps, second.learning_rate) if second else None,
      steps_per_epoch=plan.steps_per_epoch,
      **config.optimizer,
    )
  return TrainSetup(
    mesh=mesh,
    task=task,
    plan=plan,
    schedule=schedule,
    tx=tx,
    train_step=make_train_step(
      task, tx, mesh, seed=config.seed, accumulate=config.train.accumulate
    ),
    eval_step=SharedStep(make_eval_step(task, mesh), mesh),
    inputs=inputs,
    seed=config.seed,
  )
