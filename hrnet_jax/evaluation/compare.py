"""Two checkpoints on the same examples: where they differ most, in numbers and pictures."""

from collections.abc import Iterable, Mapping, Sequence
import dataclasses
import math
from typing import Any

import numpy as np

from hrnet_jax.distributed.collectives import gather_values
from hrnet_jax.errors import UserError
from hrnet_jax.evaluation.evaluate import Outcomes, Ranking, Step, score_batches
from hrnet_jax.tasks.interface import Task
from hrnet_jax.visualize import as_rgb


@dataclasses.dataclass(frozen=True)
class Comparison:
  """Result of one pass with two networks.

  Attributes:
    reports: the task's figures of the first and of the second.
    gain: score of the second minus that of the first, by position in the data set.
    pictures: this process's examples among those where they differ most, `(h, w, 3)` uint8.
  """

  reports: tuple[dict[str, Any], dict[str, Any]]
  gain: dict[int, float]
  pictures: dict[int, np.ndarray]


def compare(
  task: Task,
  step: Step,
  pair: tuple[Any, Any],
  batches: Iterable[Mapping[str, np.ndarray]],
  *,
  num_pictures: int,
) -> Comparison:
  """Tests two networks batch by batch, so that nothing but the largest differences is kept.

  Args:
    task: see `Task`.
    step: scores a batch.
    pair: variables of the two networks, where the step wants them.
    batches: see `evaluate`.
    num_pictures: how many examples to draw.

  Raises:
    ValueError: there is nothing to compare.
  """
  gain, most = {}, Ranking(num_pictures)

  def visit(index: int, scores: Sequence[float], outcomes: Outcomes) -> None:
    first, second = scores
    gain[index] = second - first
    if most.admits(abs(gain[index])):
      most.add(abs(gain[index]), index, outcomes())

  collectors = [task.collector() for _ in pair]
  totals = score_batches(step, pair, batches, collectors, visit)
  if not totals:
    raise UserError("nothing to compare: the split is empty")
  gain = gather_values(gain)
  known = [i for i in gain if not math.isnan(gain[i])]
  chosen = set(sorted(known, key=lambda i: (-abs(gain[i]), i))[:num_pictures])
  pictures = {i: _draw(task, *both) for i, both in most.items() if i in chosen}
  return Comparison((task.report(totals[0]), task.report(totals[1])), gain, pictures)


def _draw(task: Task, first: tuple[Any, Any], second: tuple[Any, Any]) -> np.ndarray:
  (prediction, example), (other, _) = first, second
  return task.comparison(as_rgb(example["image"]), prediction, other, example)


def table(comparison: Comparison) -> str:
  """The figures of both beside each other, those by class as well, with what the second gains."""
  first, second = comparison.reports
  rows = [(key, first[key], second[key]) for key in first if isinstance(first[key], float)]
  for key, values in first.items():
    if isinstance(values, Mapping) and all(isinstance(x, float) for x in values.values()):
      rows += [(f"{key} {name}", x, second[key][name]) for name, x in values.items()]
  width = max(len(name) for name, _, _ in rows)
  lines = [f"{'':<{width}}    first   second    gain"]
  lines += [f"{name:<{width}} {a:8.4f} {b:8.4f} {b - a:+7.4f}" for name, a, b in rows]
  better = sum(x > 0 for x in comparison.gain.values())
  worse = sum(x < 0 for x in comparison.gain.values())
  lines.append(
    f"the second is better on {better} and worse on {worse} of {len(comparison.gain)} examples"
  )
  return "\n".join(lines)
