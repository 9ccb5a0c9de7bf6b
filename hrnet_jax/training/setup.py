"""Config and data set -> what a run is made of before there are arrays: task, plan, step."""

from collections.abc import Callable, Sequence
import dataclasses
from typing import Any

from jax.sharding import Mesh
import optax

from hrnet_jax import registry
from hrnet_jax.data.dataset import Dataset
from hrnet_jax.distributed import sharding
from hrnet_jax.tasks.interface import Task
from hrnet_jax.training import optimizer
from hrnet_jax.training.plan import Plan, make_plan
from hrnet_jax.training.step import make_train_step


@dataclasses.dataclass(frozen=True)
class TrainSetup:
  """Attributes:
  task: network, loss, scores.
  plan: when things happen.
  schedule: learning rate by step.
  tx: optimizer.
  step: from `make_train_step`.
  """

  task: Task
  plan: Plan
  schedule: Callable[[int], Any]
  tx: optax.GradientTransformation
  step: Callable[..., Any]


def make_mesh(config: Any, devices: Sequence[Any] | None = None) -> Mesh:
  """The config's mesh, over which its batches can be divided; see `sharding.make_mesh`.

  Raises:
    ValueError: the mesh does not cover the devices, or a batch does not divide.
  """
  mesh = sharding.make_mesh(config.mesh, devices)
  sharding.check_batch(mesh, config.train.batch_size, "train.batch_size", config.train.accumulate)
  sharding.check_batch(mesh, config.eval.batch_size, "eval.batch_size")
  return mesh


def make_setup(config: Any, dataset: Dataset, mesh: Mesh) -> TrainSetup:
  """Builds the parts of a run.

  Raises:
    ValueError, TypeError: a value of the config is wrong, or does not fit the data set.
  """
  task, plan = registry.build_task(config, dataset), make_plan(config, dataset)
  extra = (plan.extra.steps, plan.extra.learning_rate) if plan.extra else None
  schedule, tx = optimizer.build(
    plan.first_steps, extra=extra, steps_per_epoch=plan.steps_per_epoch, **config.optimizer
  )
  step = make_train_step(task, tx, mesh, seed=config.seed, accumulate=config.train.accumulate)
  return TrainSetup(task, plan, schedule, tx, step)
