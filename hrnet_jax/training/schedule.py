"""Learning rates as functions of the step, in the order of the PyTorch reference."""

from collections.abc import Sequence
import math
from typing import Any

import jax.numpy as jnp
import optax

from hrnet_jax.errors import UserError, lookup


def build_schedule(
  learning_rate: float,
  steps: int,
  *,
  name: str,
  fine_tune: tuple[int, float] | None = None,
  steps_per_epoch: float | None = None,
  **options: Any,
) -> optax.Schedule:
  """Builds a schedule; the keywords are those of `config.optimizer.schedule`.

  Args:
    learning_rate: base rate.
    steps: of the run, a second phase left out.
    name: key of `SCHEDULES`.
    fine_tune: steps and base rate of a second phase, in which the schedule runs anew.
    steps_per_epoch: for schedules that count epochs; need not be whole.
    **options: of the schedule.

  Raises:
    ValueError: unknown name, a schedule that cannot run anew, or a rate that is negative or not
      finite. TypeError: unknown option.
  """
  if not 0 <= learning_rate < math.inf:
    raise UserError(f"optimizer.learning_rate is {learning_rate}, expected a finite number from 0")
  if name in _COUNT_EPOCHS:
    options["steps_per_epoch"] = steps_per_epoch
  make = lookup(SCHEDULES, name, "schedule")
  schedule = make(learning_rate, steps, **options)
  if fine_tune is None:
    return schedule
  if name in _COUNT_EPOCHS:
    raise UserError(f"train.fine_tune: schedule {name!r} cannot run anew; use poly or constant")
  more_steps, rate = fine_tune
  return _one_after_another(schedule, make(rate, more_steps, **options), steps)


def _poly(learning_rate: float, steps: int, *, power: float = 0.9) -> optax.Schedule:
  """`learning_rate * (1 - (t - 1) / steps) ** power`, and `learning_rate` itself at t = 0.

  The reference (tools/train.py, lib/core/function.py) sets the rate after each update, so its
  first two steps share the base rate and zero is never reached.
  """

  def schedule(count: Any) -> Any:
    done = jnp.maximum(jnp.asarray(count, float) - 1, 0) / steps
    return learning_rate * jnp.maximum(1 - done, 0) ** power

  return schedule


def _constant(learning_rate: float, steps: int) -> optax.Schedule:
  """The same rate at every step."""
  del steps
  return optax.constant_schedule(learning_rate)


def _step(
  learning_rate: float,
  steps: int,
  *,
  steps_per_epoch: float | None,
  milestones: Sequence[float],
  factor: float = 0.1,
  warmup_steps: int = 0,
  warmup_ratio: float = 0.001,
) -> optax.Schedule:
  """In epoch `e`, counted from 0, `learning_rate * factor ** n`; n milestones are at most `e`.

  `MultiStepLR` as the ImageNet reference's tools/train.py calls it. The first
  `warmup_steps` rise from `warmup_ratio` of the rate in a straight line (mmcv's `LrUpdaterHook`).
  """
  del steps
  if steps_per_epoch is None:
    raise UserError("schedule 'step' counts epochs: give steps_per_epoch")
  if list(milestones) != sorted(milestones) or min(milestones, default=1) <= 0:
    raise UserError(
      f"optimizer.schedule.milestones are {tuple(milestones)}, expected epochs in ascending order"
    )
  firsts = jnp.asarray([math.ceil(round(epoch * steps_per_epoch, 6)) for epoch in milestones], int)
  rates = [learning_rate * factor**n for n in range(len(milestones) + 1)]

  def schedule(count: Any) -> Any:
    rate = jnp.asarray(rates, float)[(jnp.asarray(count) >= firsts).sum()]
    if not warmup_steps:
      return rate
    left = jnp.maximum(1 - jnp.asarray(count, float) / warmup_steps, 0)
    return rate * (1 - left * (1 - warmup_ratio))

  return schedule


SCHEDULES = {"poly": _poly, "constant": _constant, "step": _step}
_COUNT_EPOCHS = ("step",)
GOES_BY_LENGTH = ("poly",)  # whose rate at a step depends on the number of all steps


def _one_after_another(first: optax.Schedule, second: optax.Schedule, steps: int) -> optax.Schedule:
  """`first`, and from its step `steps` on `second`, one step late.

  The reference sets the rate after each update, so the first step of the second phase still has
  the rate with which the first phase ended.
  """

  def schedule(count: Any) -> Any:
    count = jnp.asarray(count)
    return jnp.where(count <= steps, first(count), second(count - steps))

  return schedule
