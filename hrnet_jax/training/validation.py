"""Validation in the middle of a run: variables -> score, unless the run has to end before."""

from collections.abc import Callable, Iterator, Mapping
import dataclasses
from typing import Any

from hrnet_jax.data.pipeline import Loader
from hrnet_jax.distributed.collectives import StopVote
from hrnet_jax.distributed.runtime import Termination
from hrnet_jax.distributed.watchdog import Watchdog
from hrnet_jax.evaluation.evaluate import Step, evaluate
from hrnet_jax.run_log.log import Log, info
from hrnet_jax.tasks.interface import Task


class _Stopped(Exception):
  """The run is to end while a validation is under way."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Validation:
  """Scores the network on the evaluation split.

  Attributes:
    task: see `Task`.
    step: scores a batch.
    batches: makes a loader for one pass.
    num_pictures: predictions to draw.
    log: takes figures and pictures.
    watchdog: is told what is waited for.
    vote: of all processes, before every batch.
    termination: whether this process is to end.
  """

  task: Task
  step: Step
  batches: Callable[[], Loader]
  num_pictures: int
  log: Log
  watchdog: Watchdog
  vote: StopVote
  termination: Termination

  def score(self, step: int, variables: Mapping[str, Any]) -> float | None:
    """The task's main figure after `step`; None if the run has to end before the pass is over."""
    with self.batches() as loader:
      try:
        result = evaluate(
          self.task,
          self.step,
          variables,
          self._until_stopped(step, loader),
          num_pictures=self.num_pictures,
        )
      except _Stopped:
        return None
    self.log.scalars(step, "eval", result.report)
    self.log.pictures(step, "predictions", result.pictures)
    self.log.pictures(step, "charts", result.charts)
    score = result.report[self.task.metric]
    info(f"step {step}: validation {self.task.metric} {score:.4f}")
    return score

  def _until_stopped(self, step: int, loader: Loader) -> Iterator[Any]:
    shapes = set()
    for number in range(1, loader.num_batches + 1):
      what = f"batch {number} of {loader.num_batches} of the validation after step {step}"
      self.watchdog.watch(what, patient=number == 1)
      # Here the vote is waited for, unlike in training: whoever left a pass alone would leave the
      # others in a collective without it.
      if self.vote.any_process_now(self.termination.requested):
        raise _Stopped
      batch = next(loader)
      if (shape := batch["image"].shape) not in shapes:
        shapes.add(shape)
        self.watchdog.watch(what, patient=True)  # there is a program to compile
      yield batch
