"""The training loop, the same for every task: config and workdir -> final state."""

from collections.abc import Iterator, Sequence
import contextlib
import dataclasses
import pathlib
from typing import Any

from clu import parameter_overview
import jax
from jax.sharding import Mesh

from hrnet_jax.checkpoint.init_from import Transfer, start_from
from hrnet_jax.checkpoint.manager import EVALUATION_DUE, Checkpoints
from hrnet_jax.checkpoint.train_state import TrainState
from hrnet_jax.checkpoint.workdir import open_workdir
from hrnet_jax.data.inputs import open_dataset
from hrnet_jax.data.pipeline import Loader
from hrnet_jax.distributed import collectives, runtime, sharding
from hrnet_jax.distributed.collectives import StopVote
from hrnet_jax.distributed.watchdog import Watchdog
from hrnet_jax.errors import config_keys
from hrnet_jax.evaluation.memory import in_fitting_groups
from hrnet_jax.files import write_whole
from hrnet_jax.run_log.log import Log, info
from hrnet_jax.training.plan import Plan
from hrnet_jax.training.progress import Progress
from hrnet_jax.training.schedule import GOES_BY_LENGTH
from hrnet_jax.training.setup import make_setup
from hrnet_jax.training.step import StepPrograms
from hrnet_jax.training.validation import Validation

TRANSFER_FILE = "init_from.txt"


def train(
  config: Any, workdir: str | pathlib.Path, *, allow_changes: Sequence[str] = ()
) -> TrainState:
  """Trains until the config's last step or SIGTERM; goes on where the workdir's run stopped.

  The weights come from the newest checkpoint of the workdir; else from `config.init_from`, if it
  names one (see `checkpoint.init_from`); else they are initialised.

  Order and augmentation of examples are functions of the seed and the step, so a run that was
  killed and started again ends with the same bits as one that was not, and may go on with another
  number of processes and devices.

  Args:
    config: see `configs/`.
    workdir: for checkpoints and logs; holds one run.
    allow_changes: keys of the config that may differ from how the run began; see `open_workdir`.

  Returns:
    The final state.

  Raises:
    ValueError: config, data set and workdir do not fit together.
    Diverged: the loss is not finite; the message names the step and the last good checkpoint.
  """
  dataset = open_dataset(config)
  setup = make_setup(config, dataset)
  mesh, plan = setup.mesh, setup.plan
  example = setup.inputs.check(sharding.height_multiple(mesh))
  facts = {"config": config.to_dict(), "dataset": dataset.facts()}
  workdir = open_workdir(
    workdir,
    **facts,
    allow_changes=allow_changes,
    length_matters=config.optimizer.schedule.name in GOES_BY_LENGTH,
  )
  with config_keys(config, "train.watchdog"):
    watchdog = Watchdog(**config.train.get("watchdog", {}))
  state = setup.init_state()
  _write_overview(workdir / "parameters.txt", state)
  eval_step, eval_batches = in_fitting_groups(
    setup.eval_step, setup.inputs, state.variables, example, config.eval.get("examples", 0)
  )
  keeping = {key: value for key, value in config.checkpoint.items() if key != "every_steps"}
  with (
    Checkpoints(workdir, facts=facts, **keeping) as checkpoints,
    runtime.Termination() as termination,
    watchdog,
  ):
    watchdog.watch("reading the newest checkpoint", patient=True)
    state, position, transfer = _start(checkpoints, state, mesh, config.get("init_from", ""))
    first = int(state.step)
    with (
      Log(
        workdir, first=first, last=plan.steps, validation_due=bool(position.get(EVALUATION_DUE))
      ) as log,
      setup.train_batches(position["next_batch"]) as loader,
    ):
      info(_greeting(config, workdir, state, plan))
      if transfer is not None:
        _report_transfer(transfer, workdir)
      vote = StopVote(mesh)
      run = _Run(
        mesh=mesh,
        plan=plan,
        loader=loader,
        train_step=StepPrograms(setup.train_step, watchdog),
        progress=Progress(plan, setup.schedule, log, checkpoints),
        validation=Validation(
          task=setup.task,
          step=eval_step,
          batches=eval_batches,
          num_pictures=config.eval.pictures,
          log=log,
          watchdog=watchdog,
          vote=vote,
          termination=termination,
        ),
        checkpoints=checkpoints,
        termination=termination,
        vote=vote,
        watchdog=watchdog,
      )
      if not position.get(EVALUATION_DUE) or run.make_up_for_evaluation(first, state):
        state = run.train(first, state)
      watchdog.watch("writing the last checkpoint")
      checkpoints.finish()
      return state


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Run:
  """The parts of a run that stay the same from step to step."""

  mesh: Mesh
  plan: Plan
  loader: Loader
  train_step: StepPrograms
  progress: Progress
  validation: Validation
  checkpoints: Checkpoints
  termination: runtime.Termination
  vote: StopVote
  watchdog: Watchdog

  def train(self, first: int, state: TrainState) -> TrainState:
    """Step, log, evaluate, save: in this order, so that disk and position in the data agree."""
    for step, batch in self._batches(first):
      state, scalars = self.train_step(step, state, batch)
      stopping, score = self.vote.any_process(self.termination.requested), None
      evaluating = self.plan.evaluates(step)
      saving = stopping or self.plan.saves(step) or self.checkpoints.retry_is_due

      self.progress.add(step, scalars)
      if saving:
        self.progress.check(step, state)

      if evaluating and not stopping:
        with self._saved_if_it_fails(state):
          score = self.validation.score(step, state.variables)
        stopping = score is None

      if saving:
        # Only a validation that was broken off has to be made up for.
        self._save(step, state, score, evaluation_due=stopping and evaluating)
      if stopping:
        info(f"SIGTERM: saving step {step}; the same command goes on from there")
        break
    return state

  def make_up_for_evaluation(self, step: int, state: TrainState) -> bool:
    """Does the validation that the run's end broke off; False if it is broken off again."""
    score = self.validation.score(step, state.variables)
    if score is not None:
      self.checkpoints.add_score(step, score)
    return score is not None

  def _batches(self, first: int) -> Iterator[tuple[int, Any]]:
    """Steps after `first` and their batches, on the devices."""
    for step in range(first + 1, self.plan.steps + 1):
      self.watchdog.watch(f"waiting for batch {step} of the training data")
      yield step, sharding.to_global(next(self.loader), self.mesh)

  def _save(self, step: int, state: TrainState, score: float | None, evaluation_due: bool) -> None:
    self.watchdog.watch(f"saving step {step}")
    due = {EVALUATION_DUE: 1} if evaluation_due else {}
    self.checkpoints.save(state, self.loader.state() | due, score=score)
    self.progress.restart_clock()

  @contextlib.contextmanager
  def _saved_if_it_fails(self, state: TrainState) -> Iterator[None]:
    """Keeps what was trained where a validation fails, as on a damaged image."""
    try:
      yield
    except Exception:
      self.checkpoints.save(state, self.loader.state() | {EVALUATION_DUE: 1})
      self.checkpoints.finish()
      raise


def _start(
  checkpoints: Checkpoints, state: TrainState, mesh: Mesh, init_from: str
) -> tuple[TrainState, dict[str, int], Transfer | None]:
  """The state to go on from, its position in the data, and what came from another network."""
  # A process that is still starting would be missed in the first collective; see `barrier`.
  collectives.barrier("reading")
  if restored := checkpoints.restore(state, mesh):
    return *restored, None
  transfer = None
  if init_from:
    state, transfer = start_from(init_from, state)
  return state, {"next_batch": 0}, transfer


def _greeting(config: Any, workdir: pathlib.Path, state: TrainState, plan: Plan) -> str:
  count, first = sum(x.size for x in jax.tree.leaves(state.params)), int(state.step)
  start = "with weights from elsewhere" if config.get("init_from", "") else "from scratch"
  origin = f"going on from step {first}" if first else start
  second = plan.fine_tune
  more = f"then {second.steps} steps on {second.split}, " if second else ""
  return (
    f"training {config.model.task} on {config.data.name}: {count:,} parameters, "
    f"{plan.num_examples} examples, {plan.first_steps} steps of {plan.batch_size}, {more}{origin}\n"
    f"everything goes to {workdir}"
  )


def _report_transfer(transfer: Transfer, workdir: pathlib.Path) -> None:
  """The outline for the terminal, the full list for a file."""
  info(f"{transfer.summary()}\n  all tensors: {workdir / TRANSFER_FILE}")
  if jax.process_index() == 0:
    write_whole(workdir / TRANSFER_FILE, transfer.listing())


def _write_overview(path: pathlib.Path, state: TrainState) -> None:
  if jax.process_index() == 0:
    path.write_text(parameter_overview.get_parameter_overview(state.params) + "\n")
