"""When things happen in a run, in optimizer steps."""

import dataclasses
import math
from typing import Any

from hrnet_jax.data.dataset import Dataset


@dataclasses.dataclass(frozen=True)
class Plan:
  """Schedule of a run.

  Attributes:
    steps: of the whole run.
    batch_size: global.
    num_examples: of the training split.
    log_steps: steps between two lines of the log.
    eval_epochs: epochs between two validations.
    checkpoint_steps: steps between two checkpoints.
  """

  steps: int
  batch_size: int
  num_examples: int
  log_steps: int
  eval_epochs: float
  checkpoint_steps: int

  @property
  def steps_per_epoch(self) -> float:
    """Steps of one pass over the training split; batches run on from one pass into the next."""
    return self.num_examples / self.batch_size

  def epoch(self, step: int) -> float:
    """Passes over the training split after `step`."""
    return step * self.batch_size / self.num_examples

  def evaluates(self, step: int) -> bool:
    """Whether `step` completes a multiple of `eval_epochs`, or the run."""
    before, now = (math.floor(self.epoch(s) / self.eval_epochs) for s in (step - 1, step))
    return now > before or step == self.steps

  def logs(self, step: int) -> bool:
    """Whether the log gets a line: where it is due, and before every validation."""
    return step % self.log_steps == 0 or self.evaluates(step)

  def saves(self, step: int) -> bool:
    """Whether a checkpoint follows: where it is due, and after every validation."""
    return step % self.checkpoint_steps == 0 or self.evaluates(step)


def make_plan(config: Any, dataset: Dataset) -> Plan:
  """Derives the plan from a config; one of `train.steps` and `train.epochs` is 0.

  Raises:
    ValueError: a number is out of range, or the training split does not exist.
  """
  train = config.train
  if (train.steps > 0) == (train.epochs > 0):
    raise ValueError(
      f"set one of train.steps ({train.steps}) and train.epochs ({train.epochs}), the other to 0"
    )
  intervals = {
    "train.log_every": train.log_every,
    "eval.every_epochs": config.eval.every_epochs,
    "checkpoint.every_steps": config.checkpoint.every_steps,
  }
  for key, value in intervals.items():
    if value <= 0:
      raise ValueError(f"{key} is {value}, expected more than 0")
  num_examples = len(dataset.source(config.data.train_split))
  steps = train.steps or math.ceil(train.epochs * num_examples / train.batch_size)
  return Plan(steps, train.batch_size, num_examples, *intervals.values())
