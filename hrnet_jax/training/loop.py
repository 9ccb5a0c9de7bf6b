"""The training loop, the same for every task: config and workdir -> final state."""

from collections.abc import Callable
import dataclasses
import pathlib
from typing import Any

from clu import parameter_overview
import jax
from jax.sharding import Mesh

from hrnet_jax.data.inputs import Inputs, open_dataset
from hrnet_jax.data.pipeline import Loader
from hrnet_jax.tasks import registry
from hrnet_jax.tasks.protocol import Task
from hrnet_jax.training import optim, sharding
from hrnet_jax.training.checkpoint import Checkpoints
from hrnet_jax.training.evaluate import SharedStep, evaluate
from hrnet_jax.training.log import Log
from hrnet_jax.training.meter import Diverged, Meter
from hrnet_jax.training.plan import Plan, make_plan
from hrnet_jax.training.runtime import Termination
from hrnet_jax.training.state import TrainState, all_finite, init_state
from hrnet_jax.training.step import make_eval_step, make_train_step
from hrnet_jax.training.transfer import Transfer, start_from
from hrnet_jax.training.workdir import open_workdir

TRANSFER_FILE = "init_from.txt"


def train(config: Any, workdir: str | pathlib.Path) -> TrainState:
  """Trains until the config's last step or SIGTERM; goes on where the workdir's run stopped.

  The weights come from the newest checkpoint of the workdir; else from `config.init_from`, if it
  names one (see `transfer`); else they are initialised.

  Order and augmentation of examples are functions of the seed and the step, so a run that was
  killed and started again ends with the same bits as one that was not.

  Args:
    config: see `configs/`.
    workdir: for checkpoints and logs; holds one run.

  Returns:
    The final state.

  Raises:
    ValueError: config, data set and workdir do not fit together.
    Diverged: the loss is not finite; the message names the step and the last good checkpoint.
  """
  mesh = sharding.make_mesh(config.mesh)
  sharding.check_batch(mesh, config.train.batch_size, "train.batch_size", config.train.accumulate)
  sharding.check_batch(mesh, config.eval.batch_size, "eval.batch_size")
  dataset = open_dataset(config)
  task, plan = registry.build(config, dataset), make_plan(config, dataset)
  extra = (plan.extra.steps, plan.extra.learning_rate) if plan.extra else None
  schedule, tx = optim.build(
    plan.first_steps, extra=extra, steps_per_epoch=plan.steps_per_epoch, **config.optimizer
  )
  facts = {"config": config.to_dict(), "dataset": dataset.facts()}
  workdir = open_workdir(workdir, **facts)
  inputs = Inputs(config, dataset, jax.process_index(), jax.process_count())
  state = init_state(task.model, tx, config.seed, sharding.replicated(mesh))
  _write_overview(workdir / "parameters.txt", state)
  keep = config.checkpoint.keep_last
  with Checkpoints(workdir, facts=facts, keep_last=keep) as saver, Termination() as termination:
    start, transfer = 0, None
    if saver.latest is not None:
      state, position = saver.restore(state)
      start = position["next_batch"]
    elif config.get("init_from", ""):
      state, transfer = start_from(config.init_from, state)
    first = int(state.step)
    switch = (plan.first_steps, plan.extra.split) if plan.extra else None
    batches = inputs.train(start=start, switch=switch)
    with Log(workdir, first=first, last=plan.steps) as log, batches as loader:
      log.say(_greeting(config, workdir, state, plan, first))
      if transfer is not None:
        _tell(transfer, workdir, log)
      run = _Run(
        task=task,
        plan=plan,
        mesh=mesh,
        inputs=inputs,
        schedule=schedule,
        train_step=make_train_step(
          task, tx, mesh, seed=config.seed, accumulate=config.train.accumulate
        ),
        eval_step=SharedStep(make_eval_step(task, mesh), mesh),
        saver=saver,
        log=log,
        termination=termination,
      )
      return run.go(state, loader, first)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Run:
  """The parts of a run that stay the same from step to step."""

  task: Task
  plan: Plan
  mesh: Mesh
  inputs: Inputs
  schedule: Callable[[int], Any]
  train_step: Callable[..., Any]
  eval_step: SharedStep
  saver: Checkpoints
  log: Log
  termination: Termination

  def go(self, state: TrainState, loader: Loader, first: int) -> TrainState:
    """Step, log, evaluate, save: in this order, so that disk and position in the data agree."""
    meter = Meter(self.plan.batch_size)
    for step in range(first + 1, self.plan.steps + 1):
      state, scalars = self.train_step(state, sharding.to_global(next(loader), self.mesh))
      stopping, score = self.termination.requested, None
      try:
        meter.add(step, scalars)
        if self.plan.logs(step):
          self._log(step, meter)
        if stopping or self.plan.saves(step):
          meter.drain()
          if not all_finite(state):
            raise Diverged(f"step {step}: the update left numbers that are not finite")
      except Diverged as error:
        raise Diverged(f"{error}; {self._advice()}") from None
      if self.plan.evaluates(step) and not stopping:
        score = self._evaluate(step, state)
      if stopping or self.plan.saves(step):
        self.saver.save(state, loader.state(), score=score)
        meter.restart()
      if stopping:
        self.log.say(f"SIGTERM: saving step {step}; the same command goes on from there")
        break
    return state

  def _log(self, step: int, meter: Meter) -> None:
    means, seconds = meter.read()
    now = {"epoch": self.plan.epoch(step), "lr": float(self.schedule(step - 1))}
    self.log.progress(step, means | now, seconds * (self.plan.steps - step))

  def _evaluate(self, step: int, state: TrainState) -> float:
    settings, multiple = self.inputs.config.eval, sharding.height_multiple(self.mesh)
    limit = settings.get("examples", 0)
    with self.inputs.eval(height_multiple=multiple, limit=limit) as batches:
      result = evaluate(
        self.task,
        self.eval_step,
        state.variables,
        batches,
        num_pictures=settings.pictures,
      )
    self.log.scalars(step, "eval", result.report)
    self.log.pictures(step, "predictions", result.pictures)
    self.log.pictures(step, "charts", result.charts)
    score = result.report[self.task.metric]
    self.log.say(f"step {step}: validation {self.task.metric} {score:.4f}")
    return score

  def _advice(self) -> str:
    step = self.saver.latest
    if step is None:
      return "no checkpoint was written before; lower optimizer.learning_rate and start again"
    return (
      f"the last good checkpoint is {self.saver.path(step)}; lower optimizer.learning_rate or set "
      "optimizer.clip_norm, and start in another workdir"
    )


def _greeting(config: Any, workdir: pathlib.Path, state: TrainState, plan: Plan, first: int) -> str:
  count = sum(x.size for x in jax.tree.leaves(state.params))
  start = "with weights from elsewhere" if config.get("init_from", "") else "from scratch"
  origin = f"going on from step {first}" if first else start
  more = f"then {plan.extra.steps} steps on {plan.extra.split}, " if plan.extra else ""
  return (
    f"training {config.model.task} on {config.data.name}: {count:,} parameters, "
    f"{plan.num_examples} examples, {plan.first_steps} steps of {plan.batch_size}, {more}{origin}\n"
    f"everything goes to {workdir}"
  )


def _tell(transfer: Transfer, workdir: pathlib.Path, log: Log) -> None:
  """The outline for the terminal, the full list for a file."""
  log.say(f"{transfer.summary()}\n  all tensors: {workdir / TRANSFER_FILE}")
  if jax.process_index() == 0:
    (workdir / TRANSFER_FILE).write_text(transfer.listing())


def _write_overview(path: pathlib.Path, state: TrainState) -> None:
  if jax.process_index() == 0:
    path.write_text(parameter_overview.get_parameter_overview(state.params) + "\n")
