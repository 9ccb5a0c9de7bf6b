"""How training goes: scalars of steps -> the log, and an end where numbers are not finite."""

from typing import Any

import optax

from hrnet_jax.checkpoint.manager import Checkpoints
from hrnet_jax.checkpoint.train_state import TrainState, all_finite
from hrnet_jax.distributed import sharding
from hrnet_jax.run_log.log import Log
from hrnet_jax.run_log.running_mean import Diverged, RunningMean
from hrnet_jax.training.plan import Plan


class Progress:
  """Logs the means of training's scalars, and ends a run that diverges."""

  def __init__(self, plan: Plan, schedule: optax.Schedule, log: Log, checkpoints: Checkpoints):
    """`schedule` is the learning rate by step, `checkpoints` are what to go back to."""
    self._plan, self._schedule = plan, schedule
    self._log, self._checkpoints = log, checkpoints
    self._mean = RunningMean(plan.batch_size)

  def add(self, step: int, scalars: dict[str, Any]) -> None:
    """Takes the scalars of a step that was dispatched, and logs where it is due.

    Raises:
      Diverged: the loss of this step, or of one before, is not finite.
    """
    try:
      self._mean.add(step, scalars)
      if self._plan.logs(step):
        means, seconds = self._mean.read()
        now = {"epoch": self._plan.epoch(step), "lr": float(self._schedule(step - 1))}
        self._log.progress(step, means | now, seconds * (self._plan.steps - step))
    except Diverged as error:
      raise self._advised(error) from None

  def check(self, step: int, state: TrainState) -> None:
    """Looks at a state that is to be saved, and waits for it; its lines of the log reach the disk.

    Raises:
      Diverged: a loss so far, or a number of the state, is not finite.
    """
    try:
      self._mean.drain()
      # The loss of a step is that of the weights before it, so their update may still have failed.
      if not all_finite(sharding.local_copy(state)):
        raise Diverged(f"step {step}: the update left numbers that are not finite")
      self._log.sync()
    except Diverged as error:
      raise self._advised(error) from None

  def restart_clock(self) -> None:
    """Leaves out of the pace of training what was done since the last step."""
    self._mean.restart()

  def _advised(self, error: Diverged) -> Diverged:
    step = self._checkpoints.latest
    if step is None:
      advice = "no checkpoint was written before; lower optimizer.learning_rate and start again"
    else:
      advice = (
        f"the last good checkpoint is {self._checkpoints.path(step)}; lower "
        "optimizer.learning_rate or set optimizer.clip_norm, and start in another workdir"
      )
    return Diverged(f"{error}; {advice}")
