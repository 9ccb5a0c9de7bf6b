"""Schedules and optimizers in PyTorch's order of operations."""

from collections.abc import Sequence
import math
from typing import Any

import jax.numpy as jnp
import optax


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
) -> optax.Schedule:
  """In epoch `e`, counted from 0, `learning_rate * factor ** n`; n milestones are at most `e`.

  `MultiStepLR` as the reference (HRNet-Image-Classification, tools/train.py) calls it.
  """
  del steps
  if steps_per_epoch is None:
    raise ValueError("schedule 'step' counts epochs: give steps_per_epoch")
  if list(milestones) != sorted(milestones) or min(milestones, default=1) <= 0:
    raise ValueError(
      f"optimizer.schedule.milestones are {tuple(milestones)}, expected epochs in ascending order"
    )
  firsts = jnp.asarray([math.ceil(round(epoch * steps_per_epoch, 6)) for epoch in milestones], int)
  rates = [learning_rate * factor**n for n in range(len(milestones) + 1)]

  def schedule(count: Any) -> Any:
    return jnp.asarray(rates, float)[(jnp.asarray(count) >= firsts).sum()]

  return schedule


def _sgd(
  *, momentum: float = 0.9, nesterov: bool = False, weight_decay: float = 0.0
) -> optax.GradientTransformation:
  """`torch.optim.SGD`: decay joins the gradient, of norms and biases too, before the momentum."""
  return optax.chain(
    optax.add_decayed_weights(weight_decay), optax.trace(momentum, nesterov=nesterov)
  )


SCHEDULES = {"poly": _poly, "constant": _constant, "step": _step}
_COUNT_EPOCHS = ("step",)


def _adam(
  *, beta1: float = 0.9, beta2: float = 0.999, epsilon: float = 1e-8, weight_decay: float = 0.0
) -> optax.GradientTransformation:
  """`torch.optim.Adam`: decay joins the gradient, epsilon the corrected second moment's root."""
  return optax.chain(
    optax.add_decayed_weights(weight_decay), optax.scale_by_adam(beta1, beta2, epsilon)
  )


OPTIMIZERS = {"adam": _adam, "sgd": _sgd}


def build(
  steps: int,
  *,
  steps_per_epoch: float | None = None,
  name: str,
  learning_rate: float,
  schedule: dict[str, Any],
  clip_norm: float = 0.0,
  **options: Any,
) -> tuple[optax.Schedule, optax.GradientTransformation]:
  """Builds the optimizer; the keywords are those of `config.optimizer`.

  Args:
    steps: of the whole run.
    steps_per_epoch: for schedules that count epochs; need not be whole.
    name: key of `OPTIMIZERS`.
    learning_rate: base rate.
    schedule: `name`, a key of `SCHEDULES`, and its options.
    clip_norm: global gradient norm above which gradients are scaled down; 0 is off.
    **options: of the optimizer.

  Returns:
    The rate as a function of the step, and the gradient transformation.

  Raises:
    ValueError: unknown name. TypeError: unknown option.
  """
  schedule = dict(schedule)
  kind = schedule.pop("name")
  if kind in _COUNT_EPOCHS:
    schedule["steps_per_epoch"] = steps_per_epoch
  curve = _lookup(SCHEDULES, kind, "schedule")(learning_rate, steps, **schedule)
  clip = [optax.clip_by_global_norm(clip_norm)] if clip_norm else []
  core = _lookup(OPTIMIZERS, name, "optimizer")(**options)
  return curve, optax.chain(*clip, core, optax.scale_by_learning_rate(curve))


def _lookup(table: dict[str, Any], name: str, kind: str) -> Any:
  if name not in table:
    raise ValueError(f"unknown {kind} {name!r}; known: {', '.join(sorted(table))}")
  return table[name]
