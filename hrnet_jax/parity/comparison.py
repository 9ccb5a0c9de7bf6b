"""How a task's network is compared with PyTorch's, as every task states it in its `parity.py`."""

from collections.abc import Callable, Mapping
import dataclasses
from typing import Any

import numpy as np

from hrnet_jax import registry

DecisionCounts = dict[str, int]


@dataclasses.dataclass(frozen=True, kw_only=True)
class TorchComparison:
  """The reference's network of one task, and what is compared of its outputs.

  Attributes:
    network: class of the PyTorch network, `(num_outputs, config, upsample, channels) -> Trunk`;
      given by its place, `module:attribute`, because only what runs PyTorch may import it.
    size: height and width of the images, where nobody asks for others.
    bn_momentum: weight of the new batch in the reference's running statistics.
    upsample: interpolation of the reference's network; None where its checkpoints differ in it.
    only: values of `config.model` that the PyTorch network has; there are no others to compare.
    enlarges: whether the reference brings its outputs to the size of the image. They are then
      compared at that size too, and decide there.
    decide: outputs of our network and of PyTorch's -> how many decisions there are (`count`), how
      many are `equal`, and more that the task counts.
    decision: what is decided, for people.
  """

  network: str
  size: tuple[int, int]
  bn_momentum: float
  decide: Callable[[np.ndarray, np.ndarray], DecisionCounts]
  decision: str
  upsample: str | None = None
  only: Mapping[str, Any] = dataclasses.field(default_factory=dict)
  enlarges: bool = False


def comparison_of(task: str) -> TorchComparison:
  """The comparison of a task.

  Raises:
    ValueError: there is no such task, or none to compare it with.
  """
  return registry.task_part(task, "parity", "network in PyTorch to compare with")


def equal_choices(actual: np.ndarray, expected: np.ndarray) -> DecisionCounts:
  """Compares the best of the last axis, `(..., choices)`."""
  best, best_expected = actual.argmax(-1), expected.argmax(-1)
  return {"count": best.size, "equal": int((best == best_expected).sum())}


def equal_positions(actual: np.ndarray, expected: np.ndarray) -> DecisionCounts:
  """Compares the best position of every heat map, `(B, h, w, K)`.

  Returns:
    Also `furthest`: how many rows or columns the worst one is off.
  """
  maps = [x.transpose(0, 3, 1, 2).reshape(len(x), x.shape[3], -1) for x in (actual, expected)]
  rows_columns = [np.stack(np.unravel_index(x.argmax(-1), actual.shape[1:3])) for x in maps]
  furthest = int(np.abs(rows_columns[0] - rows_columns[1]).max())
  return {**equal_choices(*maps), "furthest": furthest}
