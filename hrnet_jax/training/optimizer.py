"""Optimizers in PyTorch's order of operations, with the learning rate's schedule inside."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import jax
import optax

from hrnet_jax.errors import UserError, lookup
from hrnet_jax.training.schedule import build_schedule


def _sgd(
  *, momentum: float = 0.9, nesterov: bool = False, weight_decay: float = 0.0
) -> optax.GradientTransformation:
  """`torch.optim.SGD`: decay joins the gradient, of norms and biases too, before the momentum."""
  return optax.chain(
    optax.add_decayed_weights(weight_decay), optax.trace(momentum, nesterov=nesterov)
  )


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
  fine_tune: tuple[int, float] | None = None,
  steps_per_epoch: float | None = None,
  name: str,
  learning_rate: float,
  schedule: Mapping[str, Any],
  clip_norm: float = 0.0,
  multipliers: Mapping[str, float] | None = None,
  **options: Any,
) -> tuple[optax.Schedule, optax.GradientTransformation]:
  """Builds the optimizer; the keywords are those of `config.optimizer`.

  Args:
    steps: of the run, a second phase left out.
    fine_tune: steps and base rate of a second phase, in which the schedule runs anew.
    steps_per_epoch: for schedules that count epochs; need not be whole.
    name: key of `OPTIMIZERS`.
    learning_rate: base rate.
    schedule: `name`, a key of `schedule.SCHEDULES`, and its options.
    clip_norm: global gradient norm above which gradients are scaled down; 0 is off.
    multipliers: factors of the rate for parts of the network, by their paths: `{"head": 10.0}`.
    **options: of the optimizer.

  Returns:
    The rate as a function of the step, multipliers left out, and the gradient transformation.

  Raises:
    ValueError: unknown name. TypeError: unknown option. While the transformation is initialised:
      a multiplier that fits no parameter, or a parameter that two of them fit.
  """
  rate = build_schedule(
    learning_rate, steps, fine_tune=fine_tune, steps_per_epoch=steps_per_epoch, **schedule
  )
  clip = [optax.clip_by_global_norm(clip_norm)] if clip_norm else []
  core = lookup(OPTIMIZERS, name, "optimizer")(**options)
  factors = [scale_parts(multipliers)] if multipliers else []
  return rate, optax.chain(*clip, core, optax.scale_by_learning_rate(rate), *factors)


def scale_parts(multipliers: Mapping[str, float]) -> optax.GradientTransformation:
  """Scales the updates of parts of the network, as PyTorch's parameter groups with their own rate.

  Args:
    multipliers: factors by path; `head` and `head/mix` are modules, everything in them is scaled.

  Returns:
    A transformation without state. Its `init` raises ValueError where a path fits no parameter,
    or two paths fit the same.
  """
  multipliers = dict(multipliers)

  def init(params: optax.Params) -> optax.EmptyState:
    names = [_name(path) for path, _ in jax.tree_util.tree_leaves_with_path(params)]
    _check_parts(list(multipliers), names)
    return optax.EmptyState()

  def update(
    updates: optax.Updates, state: optax.EmptyState, params: optax.Params | None = None
  ) -> tuple[optax.Updates, optax.EmptyState]:
    del params

    def scale(path: tuple[Any, ...], x: jax.Array) -> jax.Array:
      parts = _parts_of(_name(path), multipliers)
      return x * multipliers[parts[0]] if parts else x

    return jax.tree_util.tree_map_with_path(scale, updates), state

  return optax.GradientTransformation(init, update)


def _check_parts(parts: Sequence[str], names: Sequence[str]) -> None:
  found = [_parts_of(name, parts) for name in names]
  if unused := sorted(set(parts) - {part for fitting in found for part in fitting}):
    known = sorted({name.partition("/")[0] for name in names})
    raise UserError(
      f"optimizer.multipliers has {unused[0]!r}, which is the path of no parameter; the network "
      f"has {', '.join(known)}, and parameters.txt of a run lists what is in them"
    )
  if twice := next((fitting for fitting in found if len(fitting) > 1), None):
    raise UserError(f"optimizer.multipliers: {' and '.join(twice)} have parameters in common")


def _parts_of(name: str, parts: Iterable[str]) -> list[str]:
  """Which of the paths a parameter is in."""
  return [part for part in parts if f"/{part}/" in f"/{name}/"]


def _name(path: tuple[Any, ...]) -> str:
  return jax.tree_util.keystr(path, simple=True, separator="/")
