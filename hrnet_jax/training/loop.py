"""The training loop, the same for every task: config and workdir -> final state."""

from collections.abc import Callable, Iterator
import dataclasses
import pathlib
from typing import Any

from clu import parameter_overview
import jax
from jax.sharding import Mesh

from hrnet_jax import registry
from hrnet_jax.checkpoint.init_from import Transfer, start_from
from hrnet_jax.checkpoint.manager import Checkpoints
from hrnet_jax.checkpoint.train_state import TrainState, all_finite, init_state
from hrnet_jax.checkpoint.workdir import open_workdir
from hrnet_jax.data.inputs import Inputs, open_dataset
from hrnet_jax.data.pipeline import Loader
from hrnet_jax.distributed import collectives, runtime, sharding
from hrnet_jax.distributed.collectives import StopVote
from hrnet_jax.distributed.watchdog import Watchdog
from hrnet_jax.evaluation.eval_step import make_eval_step
from hrnet_jax.evaluation.evaluate import SharedStep, evaluate
from hrnet_jax.run_log.log import Log, info
from hrnet_jax.run_log.running_mean import Diverged, RunningMean
from hrnet_jax.training.plan import Plan
from hrnet_jax.training.setup import TrainSetup, make_mesh, make_setup

TRANSFER_FILE = "init_from.txt"
_DUE = "evaluation_due"  # in a checkpoint whose validation was broken off


class _Stopped(Exception):
  """The run is to end while a validation is under way."""


def train(config: Any, workdir: str | pathlib.Path) -> TrainState:
  """Trains until the config's last step or SIGTERM; goes on where the workdir's run stopped.

  The weights come from the newest checkpoint of the workdir; else from `config.init_from`, if it
  names one (see `transfer`); else they are initialised.

  Order and augmentation of examples are functions of the seed and the step, so a run that was
  killed and started again ends with the same bits as one that was not, and may go on with another
  number of processes and devices.

  Args:
    config: see `configs/`.
    workdir: for checkpoints and logs; holds one run.

  Returns:
    The final state.

  Raises:
    ValueError: config, data set and workdir do not fit together.
    Diverged: the loss is not finite; the message names the step and the last good checkpoint.
  """
  mesh = make_mesh(config)
  dataset = open_dataset(config)
  setup = make_setup(config, dataset, mesh)
  task, plan = setup.task, setup.plan
  facts = {"config": config.to_dict(), "dataset": dataset.facts()}
  workdir = open_workdir(workdir, **facts)
  inputs = Inputs(config, dataset, registry.task_of(config), *sharding.data_share(mesh))
  watchdog = Watchdog(**config.train.get("watchdog", {}))
  state = init_state(task.model, setup.tx, config.seed, sharding.replicated(mesh))
  _write_overview(workdir / "parameters.txt", state)
  keeping = {key: value for key, value in config.checkpoint.items() if key != "every_steps"}
  with (
    Checkpoints(workdir, facts=facts, **keeping) as saver,
    runtime.Termination() as termination,
    watchdog,
  ):
    watchdog.watch("reading the newest checkpoint", patient=True)
    collectives.barrier("reading")
    position, transfer = {"next_batch": 0}, None
    if restored := saver.restore(state, mesh):
      state, position = restored
    elif config.get("init_from", ""):
      state, transfer = start_from(config.init_from, state)
    first = int(state.step)
    switch = (plan.first_steps, plan.extra.split) if plan.extra else None
    batches = inputs.train(start=position["next_batch"], switch=switch)
    with Log(workdir, first=first, last=plan.steps) as log, batches as loader:
      info(_greeting(config, workdir, state, plan, first))
      if transfer is not None:
        _tell(transfer, workdir)
      run = _Run(
        setup=setup,
        mesh=mesh,
        inputs=inputs,
        eval_step=SharedStep(make_eval_step(task, mesh), mesh),
        saver=saver,
        log=log,
        termination=termination,
        vote=StopVote(mesh),
        watchdog=watchdog,
      )
      complete = not position.get(_DUE) or run.make_up(state, loader)
      state = run.go(state, loader, first) if complete else state
      watchdog.watch("writing the last checkpoint")
      saver.finish()
      return state


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Run:
  """The parts of a run that stay the same from step to step."""

  setup: TrainSetup
  mesh: Mesh
  inputs: Inputs
  eval_step: SharedStep
  saver: Checkpoints
  log: Log
  termination: runtime.Termination
  vote: StopVote
  watchdog: Watchdog
  programs: dict[Any, Callable[..., Any]] = dataclasses.field(default_factory=dict)

  def go(self, state: TrainState, loader: Loader, first: int) -> TrainState:
    """Step, log, evaluate, save: in this order, so that disk and position in the data agree."""
    plan = self.setup.plan
    meter = RunningMean(plan.batch_size)
    for step in range(first + 1, plan.steps + 1):
      self.watchdog.watch(f"waiting for batch {step} of the training data")
      batch = sharding.to_global(next(loader), self.mesh)
      train_step = self._compiled(state, batch)
      self.watchdog.watch(f"step {step} on the devices")
      state, scalars = train_step(state, batch)
      stopping, score = self.vote.any_process(self.termination.requested), None
      saving = stopping or plan.saves(step) or self.saver.retry_is_due
      self._note(meter, step, scalars, state if saving else None)
      if plan.evaluates(step) and not stopping:
        try:
          score = self._evaluate(step, state)
        except Exception:
          self.saver.save(state, loader.state() | {_DUE: 1})  # the training was good
          self.saver.finish()
          raise
        stopping = score is None
      if saving:
        self.watchdog.watch(f"saving step {step}")
        # Only a validation that was broken off has to be made up for.
        due = {_DUE: 1} if stopping and plan.evaluates(step) else {}
        self.saver.save(state, loader.state() | due, score=score)
        meter.restart()
      if stopping:
        info(f"SIGTERM: saving step {step}; the same command goes on from there")
        break
    return state

  def _compiled(self, state: TrainState, batch: Any) -> Callable[..., Any]:
    """The training step for this batch's shapes, of which there may be a few, in all processes."""
    shapes = tuple((name, x.shape) for name, x in sorted(batch.items()))
    if shapes not in self.programs:
      self.watchdog.watch("compiling the training step", patient=True)
      self.programs[shapes] = runtime.compiled(self.setup.step, state, batch)
      collectives.barrier("compiled")
    return self.programs[shapes]

  def make_up(self, state: TrainState, loader: Loader) -> bool:
    """Does the validation that the run's end broke off; False if it is broken off again."""
    score = self._evaluate(int(state.step), state)
    if score is not None:
      self.saver.save(state, loader.state(), score=score, replace=True)
    return score is not None

  def _note(self, meter: RunningMean, step: int, scalars: Any, saved: TrainState | None) -> None:
    """Logs where it is due, and looks at what is to be saved.

    Raises:
      Diverged: a loss, or a number that is to be saved, is not finite.
    """
    try:
      meter.add(step, scalars)
      if self.setup.plan.logs(step):
        self._log(step, meter)
      if saved is not None:
        meter.drain()
        if not all_finite(sharding.local_copy(saved)):
          raise Diverged(f"step {step}: the update left numbers that are not finite")
    except Diverged as error:
      raise Diverged(f"{error}; {self._advice()}") from None

  def _log(self, step: int, meter: RunningMean) -> None:
    means, seconds = meter.read()
    now = {"epoch": self.setup.plan.epoch(step), "lr": float(self.setup.schedule(step - 1))}
    self.log.progress(step, means | now, seconds * (self.setup.plan.steps - step))

  def _evaluate(self, step: int, state: TrainState) -> float | None:
    """The score of the validation; None if the run is to end before it is complete."""
    settings, multiple = self.inputs.config.eval, sharding.height_multiple(self.mesh)
    limit = settings.get("examples", 0)
    with self.inputs.eval(height_multiple=multiple, limit=limit) as batches:
      try:
        result = evaluate(
          self.setup.task,
          self.eval_step,
          state.variables,
          self._until_stopped(step, batches),
          num_pictures=settings.pictures,
        )
      except _Stopped:
        return None
    self.log.scalars(step, "eval", result.report)
    self.log.pictures(step, "predictions", result.pictures)
    self.log.pictures(step, "charts", result.charts)
    score = result.report[self.setup.task.metric]
    info(f"step {step}: validation {self.setup.task.metric} {score:.4f}")
    return score

  def _until_stopped(self, step: int, batches: Loader) -> Iterator[Any]:
    shapes = set()
    for number in range(1, batches.num_batches + 1):
      what = f"batch {number} of {batches.num_batches} of the validation after step {step}"
      self.watchdog.watch(what, patient=number == 1)
      if self.vote.any_process_now(self.termination.requested):
        raise _Stopped
      batch = next(batches)
      if (shape := batch["image"].shape) not in shapes:
        shapes.add(shape)
        self.watchdog.watch(what, patient=True)  # there is a program to compile
      yield batch

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


def _tell(transfer: Transfer, workdir: pathlib.Path) -> None:
  """The outline for the terminal, the full list for a file."""
  info(f"{transfer.summary()}\n  all tensors: {workdir / TRANSFER_FILE}")
  if jax.process_index() == 0:
    (workdir / TRANSFER_FILE).write_text(transfer.listing())


def _write_overview(path: pathlib.Path, state: TrainState) -> None:
  if jax.process_index() == 0:
    path.write_text(parameter_overview.get_parameter_overview(state.params) + "\n")
