"""When things happen in a run, in optimizer steps."""

import dataclasses
import math
from typing import Any

from hrnet_jax.data.dataset import Dataset, examples
from hrnet_jax.errors import UserError, config_keys


@dataclasses.dataclass(frozen=True)
class FineTune:
  """The second phase of a run; the same optimizer goes on with other examples.

  Attributes:
    steps: of this phase.
    split: its examples.
    num_examples: of that split.
    learning_rate: base rate of this phase.
  """

  steps: int
  split: str
  num_examples: int
  learning_rate: float


@dataclasses.dataclass(frozen=True)
class Plan:
  """When things happen in a run.

  Attributes:
    steps: of the whole run, both phases.
    batch_size: global.
    num_examples: of the training split.
    log_steps: steps between two lines of the log.
    eval_epochs: epochs between two validations.
    checkpoint_steps: steps between two checkpoints.
    fine_tune: the second phase, if there is one.
  """

  steps: int
  batch_size: int
  num_examples: int
  log_steps: int
  eval_epochs: float
  checkpoint_steps: int
  fine_tune: FineTune | None = None

  @property
  def first_steps(self) -> int:
    """Steps of the first phase."""
    return self.steps - (self.fine_tune.steps if self.fine_tune else 0)

  @property
  def steps_per_epoch(self) -> float:
    """Steps of one pass over the training split; batches run on from one pass into the next."""
    return self.num_examples / self.batch_size

  def epoch(self, step: int) -> float:
    """Passes over the training split after `step`; those of a second phase are added."""
    first = min(step, self.first_steps) * self.batch_size / self.num_examples
    if step <= self.first_steps:
      return first
    return first + (step - self.first_steps) * self.batch_size / self.fine_tune.num_examples

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

  `train.fine_tune`, where it is not empty, is a second phase: its `epochs` (0 is none), `split`
  and `learning_rate`.

  Raises:
    ValueError: a number is out of range, or a training split does not exist.
    TypeError: an unknown or missing key of `train.fine_tune`.
  """
  train = config.train
  if (train.steps > 0) == (train.epochs > 0):
    raise UserError(
      f"set one of train.steps ({train.steps}) and train.epochs ({train.epochs}), the other to 0"
    )
  intervals = {
    "train.log_every": train.log_every,
    "eval.every_epochs": config.eval.every_epochs,
    "checkpoint.every_steps": config.checkpoint.every_steps,
  }
  for key, value in intervals.items():
    if value <= 0:
      raise UserError(f"{key} is {value}, expected more than 0")
  num_examples = len(examples(dataset, config.data.train_split))
  steps = train.steps or math.ceil(train.epochs * num_examples / train.batch_size)
  options = train.get("fine_tune", {})
  with config_keys(config, "train.fine_tune"):
    fine_tune = _make_fine_tune(dataset, train.batch_size, **options) if options else None
  steps += fine_tune.steps if fine_tune else 0
  return Plan(steps, train.batch_size, num_examples, *intervals.values(), fine_tune)


def _make_fine_tune(
  dataset: Dataset, batch_size: int, *, epochs: float, split: str, learning_rate: float
) -> FineTune | None:
  if epochs < 0 or learning_rate <= 0:
    raise UserError(
      f"train.fine_tune has epochs {epochs} and learning_rate {learning_rate}; expected 0 or more, "
      "and more than 0"
    )
  if not epochs:
    return None
  num_examples = len(examples(dataset, split))
  steps = math.ceil(epochs * num_examples / batch_size)
  return FineTune(steps, split, num_examples, learning_rate)
