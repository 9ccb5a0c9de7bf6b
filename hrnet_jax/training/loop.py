"""The training loop, the same for every task: config and workdir -> final state."""

from collections.abc import Callable, Iterator, Sequence
import contextlib
import dataclasses
import functools
import pathlib
import signal
from typing import Any

from clu import parameter_overview
import jax
from jax.sharding import Mesh

from hrnet_jax import ending
from hrnet_jax.checkpoint import listing
from hrnet_jax.checkpoint.init_from import Transfer, start_from
from hrnet_jax.checkpoint.manager import EVALUATION_DUE, FOLDER, Checkpoints
from hrnet_jax.checkpoint.train_state import TrainState
from hrnet_jax.checkpoint.workdir import open_workdir
from hrnet_jax.data.inputs import open_dataset
from hrnet_jax.distributed import collectives, runtime, sharding
from hrnet_jax.distributed.collectives import StopVote
from hrnet_jax.distributed.watchdog import Watchdog
from hrnet_jax.errors import config_keys
from hrnet_jax.evaluation.memory import in_fitting_groups
from hrnet_jax.files import write_whole
from hrnet_jax.run_log.log import Log, info
from hrnet_jax.training import joint
from hrnet_jax.training.ahead import UNREADABLE, Ahead
from hrnet_jax.training.plan import Plan
from hrnet_jax.training.progress import Progress
from hrnet_jax.training.schedule import GOES_BY_LENGTH
from hrnet_jax.training.setup import TrainSetup, make_setup
from hrnet_jax.training.step import StepPrograms
from hrnet_jax.training.validation import Validation

TRANSFER_FILE = "init_from.txt"
_GRACE_SECONDS = 30.0
_NOT_OF_FILES = {"every_steps", "grace_seconds"}  # keys of `checkpoint` that the loop reads itself


def train(
  config: Any, workdir: str | pathlib.Path, *, allow_changes: Sequence[str] = ()
) -> TrainState:
  """Trains until the config's last step or a signal; goes on where the workdir's run stopped.

  The weights come from the newest checkpoint of the workdir; else from `config.init_from`, if it
  names one (see `checkpoint.init_from`); else they are initialised.

  Order and augmentation of examples are functions of the seed and the step, so a run that was
  killed and started again ends with the same bits as one that was not, and may go on with another
  number of processes and devices. The processes of a job compare all of this before the first step.

  SIGTERM and Ctrl-C end it after a step, with a checkpoint; see `runtime.Termination`.

  Args:
    config: see `configs/`.
    workdir: for checkpoints and logs; holds one run.
    allow_changes: keys of the config that may differ from how the run began; see `open_workdir`.

  Returns:
    The final state.

  Raises:
    ValueError: config, data set and workdir do not fit together, processes do not agree, or another
      run has the workdir.
    Stopped: a KeyboardInterrupt: Ctrl-C has ended the run, with a checkpoint.
    Diverged: the loss is not finite; the message names the step and the last good checkpoint.
  """
  path = pathlib.Path(workdir).expanduser().absolute()
  grace = config.checkpoint.get("grace_seconds", _GRACE_SECONDS)
  with runtime.Termination(grace, functools.partial(_goes_on, path)) as termination:
    dataset = open_dataset(config)
    joint.agree_on_inputs(config, dataset)
    setup = make_setup(config, dataset)
    example = setup.inputs.check(sharding.height_multiple(setup.mesh))
    # A config that cannot be trained has been refused by now, and no folder was made for it.
    with joint.owned(path) as check_owner:
      state = _train(config, path, setup, example, termination, check_owner, allow_changes)
  if termination.answered == signal.SIGINT:
    raise ending.Stopped(
      f"step {int(state.step)} is saved; {_goes_on(path)}", silent=jax.process_index() > 0
    )
  return state


def _train(
  config: Any,
  workdir: pathlib.Path,
  setup: TrainSetup,
  example: Any,
  termination: runtime.Termination,
  check_owner: Callable[..., None],
  allow_changes: Sequence[str],
) -> TrainState:
  """The same in a folder that is this run's, with data that all processes agree on."""
  mesh, plan = setup.mesh, setup.plan
  facts = {"config": config.to_dict(), "dataset": setup.inputs.dataset.facts()}
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
  keeping = {key: x for key, x in config.checkpoint.items() if key not in _NOT_OF_FILES}
  with Checkpoints(workdir, facts=facts, **keeping) as checkpoints, watchdog:
    watchdog.watch("reading the newest checkpoint", patient=True)
    state, position, transfer = _start(checkpoints, state, mesh, config.get("init_from", ""))
    joint.agree_on_start(state, position)
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
        batches=Ahead(loader, plan.steps - first),
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
        check_owner=check_owner,
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
  batches: Ahead
  train_step: StepPrograms
  progress: Progress
  validation: Validation
  checkpoints: Checkpoints
  termination: runtime.Termination
  vote: StopVote
  watchdog: Watchdog
  check_owner: Callable[..., None]

  def train(self, first: int, state: TrainState) -> TrainState:
    """Step, log, evaluate, save: in this order, so that disk and position in the data agree."""
    saved = first
    for step in range(first + 1, self.plan.steps + 1):
      self.watchdog.watch(f"waiting for batch {step} of the training data")
      with self._saved_if_it_fails(state, fresh=step - 1 > saved):
        batch = sharding.to_global(next(self.batches), self.mesh)
      state, scalars = self.train_step(step, state, batch)
      self.termination.started = True
      self.batches.look()
      wish = UNREADABLE if self.batches.error else self.termination.requested
      stopping, score = self.vote.any_process(wish), None
      evaluating = self.plan.evaluates(step)
      saving = stopping or self.plan.saves(step) or self.checkpoints.retry_is_due
      self.check_owner()

      self.progress.add(step, scalars)
      if saving:
        self.progress.check(step, state)

      if evaluating and not stopping:
        with self._saved_if_it_fails(state, evaluation_due=True):
          score = self.validation.score(step, state.variables)
        stopping = score is None

      if saving:
        self.termination.saving = stopping
        # Only a validation that was broken off has to be made up for.
        self._save(step, state, score, evaluation_due=stopping and evaluating)
        saved = step
      if stopping and self.vote.wish == UNREADABLE:
        self.checkpoints.finish()
        self.batches.raise_in_all()
      if stopping:
        self._say_why(step)
        break
    return state

  def make_up_for_evaluation(self, step: int, state: TrainState) -> bool:
    """Does the validation that the run's end broke off; False if it is broken off again."""
    score = self.validation.score(step, state.variables)
    if score is None:
      self._say_why(step)
      return False
    self.check_owner(look=True)
    self.checkpoints.add_score(step, score)
    return True

  def _save(self, step: int, state: TrainState, score: float | None, evaluation_due: bool) -> None:
    self.watchdog.watch(f"saving step {step}")
    self.check_owner(look=True)
    due = {EVALUATION_DUE: 1} if evaluation_due else {}
    self.checkpoints.save(state, self.batches.state() | due, score=score)
    self.progress.restart_clock()

  def _say_why(self, step: int) -> None:
    self.termination.answered = self.vote.wish
    if self.vote.wish != signal.SIGINT:  # which the command says
      info(f"SIGTERM: saving step {step}; the same command goes on from there")

  @contextlib.contextmanager
  def _saved_if_it_fails(
    self, state: TrainState, *, fresh: bool = True, evaluation_due: bool = False
  ) -> Iterator[None]:
    """Keeps what was trained where data cannot be read, as on a damaged image.

    Args:
      state: before what the body does.
      fresh: whether it is not saved yet.
      evaluation_due: whether the body is the validation of this step.
    """
    try:
      yield
    except Exception:
      if fresh:
        self.check_owner(look=True)
        self.progress.check(int(state.step), state)
        due = {EVALUATION_DUE: 1} if evaluation_due else {}
        self.checkpoints.save(state, self.batches.state() | due)
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


def _goes_on(workdir: pathlib.Path) -> str:
  step = max(listing.steps_in(workdir / FOLDER), default=0)
  return f"the same command goes on from step {step}" if step else "the same command starts anew"


def _report_transfer(transfer: Transfer, workdir: pathlib.Path) -> None:
  """The outline for the terminal, the full list for a file."""
  info(f"{transfer.summary()}\n  all tensors: {workdir / TRANSFER_FILE}")
  if jax.process_index() == 0:
    write_whole(workdir / TRANSFER_FILE, transfer.listing())


def _write_overview(path: pathlib.Path, state: TrainState) -> None:
  if jax.process_index() == 0:
    write_whole(path, parameter_overview.get_parameter_overview(state.params) + "\n")
