"""Two checkpoints on the same examples: where they differ most, in numbers and pictures."""

from collections.abc import Iterable, Mapping
import dataclasses
import math
from typing import Any

import jax
import numpy as np

from hrnet_jax.distributed.collectives import gather_bytes, gather_values, sum_over_processes
from hrnet_jax.evaluation.evaluate import Ranking, Step, widen
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
  totals, gain, most = None, {}, Ranking(num_pictures)
  collectors = [x for x in (task.collector() for _ in pair) if x is not None]
  for batch in batches:
    scored = [step(variables, batch) for variables in pair]
    sums = [jax.tree.map(widen, s.metric_sums) for s in scored]
    totals = sums if totals is None else jax.tree.map(np.add, totals, sums)
    for row in np.flatnonzero(batch["mask"]):
      index = int(batch["index"][row])
      gain[index] = float(scored[1].per_example_score[row] - scored[0].per_example_score[row])
      shown = most.admits(abs(gain[index]))
      if not (shown or collectors):
        continue
      entry = [jax.tree.map(lambda x, row=row: x[row], s.predictions) for s in scored]
      entry = [step.example(batch, row, x) for x in entry]
      for collector, tested in zip(collectors, entry, strict=False):
        collector.add(index, *tested)
      if shown:
        most.add(abs(gain[index]), index, entry)
  if totals is None:
    raise ValueError("nothing to compare: the split is empty")
  if not step.shared:
    totals = sum_over_processes(totals)
  for number, collector in enumerate(collectors):
    totals[number] = totals[number] | collector.merge(gather_bytes(collector.pack()))
  gain = gather_values(gain)
  known = [i for i in gain if not math.isnan(gain[i])]
  chosen = set(sorted(known, key=lambda i: (-abs(gain[i]), i))[:num_pictures])
  pictures = {i: _draw(task, *entry) for i, entry in most.items() if i in chosen}
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
