"""One exact pass over a data set: batches -> report, score of every example, pictures."""

from collections.abc import Callable, Iterable, Mapping, Sequence
import dataclasses
import functools
import heapq
import math
from typing import Any, NamedTuple, Protocol

import jax
from jax.sharding import Mesh
import numpy as np

from hrnet_jax.data import padded_batch
from hrnet_jax.distributed import sharding
from hrnet_jax.distributed.collectives import gather_bytes, gather_values, sum_over_processes
from hrnet_jax.errors import UserError
from hrnet_jax.tasks.interface import Collector, Task
from hrnet_jax.visualize import as_rgb

Example = dict[str, np.ndarray]
Outcome = tuple[Any, Example]  # a prediction and what it is of
Outcomes = Callable[[], list[Outcome]]


class Scored(NamedTuple):
  """The result of a step for one batch; arrays of numpy.

  Attributes:
    metric_sums: the task's, over the batch.
    predictions: the task's, one row for each of this process's examples.
    per_example_score: `(b,)`, the task's.
  """

  metric_sums: Any
  predictions: Any
  per_example_score: np.ndarray


class Step(Protocol):
  """Scores a batch of this process.

  Attributes:
    shared: whether `metric_sums` are over the batches of all processes, not of this one alone.
  """

  shared: bool

  def __call__(self, variables: Any, batch: Mapping[str, np.ndarray]) -> Scored:
    """Scores a batch; `mask` is False for examples that only fill it up."""

  def example(self, batch: Mapping[str, np.ndarray], row: int, prediction: Any) -> tuple[Any, Any]:
    """One prediction and its example, as the task draws them."""


@dataclasses.dataclass(frozen=True)
class SharedStep:
  """The plain step: all devices of all processes take their part of one batch.

  Attributes:
    run: from `make_eval_step`.
    mesh: all devices.
  """

  run: Callable[..., Any]
  mesh: Mesh
  shared = True

  def __call__(self, variables: Any, batch: Mapping[str, np.ndarray]) -> Scored:
    """See `Step`."""
    numbers = {key: value for key, value in batch.items() if value.dtype.kind != "U"}
    scored = jax.device_get(self.run(variables, sharding.to_global(numbers, self.mesh)))
    sums, predictions, scores = scored
    # This process's examples are one run of rows of the global batch.
    count, (part, _) = len(batch["mask"]), sharding.data_share(self.mesh)
    own = slice(part * count, (part + 1) * count)
    predictions, scores = jax.tree.map(lambda x: x[own], (predictions, scores))
    return Scored(sums, predictions, scores)

  def example(
    self, batch: Mapping[str, np.ndarray], row: int, prediction: Any
  ) -> tuple[Any, Example]:
    """See `Step`."""
    return prediction, padded_batch.example(batch, row)


@dataclasses.dataclass(frozen=True)
class Evaluation:
  """Result of one pass.

  Attributes:
    report: the task's figures.
    per_example_score: of every example of all processes, by position in the data set; larger is
      better, NaN where there is nothing to compare with.
    pictures: this process's first examples, `(h, w, 3)` uint8, by position in the data set.
    worst: the same for those with the lowest score of all processes; a process has its own.
    charts: pictures of the totals, by name.
    totals: of all processes, from which the report was made.
  """

  report: dict[str, Any]
  per_example_score: dict[int, float]
  pictures: dict[int, np.ndarray]
  worst: dict[int, np.ndarray]
  charts: dict[str, np.ndarray]
  totals: Mapping[str, Any]


def evaluate(
  task: Task,
  step: Step,
  variables: Mapping[str, Any],
  batches: Iterable[Mapping[str, np.ndarray]],
  *,
  num_pictures: int = 0,
  num_worst: int = 0,
  consume: Callable[[int, Any, Example], None] | None = None,
) -> Evaluation:
  """Scores every example once.

  Args:
    task: see `Task`.
    step: scores a batch.
    variables: of the network, where the step wants them.
    batches: this process's; with a shared step all processes must have equally many. `mask` is
      False for examples that only fill up the last one; `index` is the position in the data set.
    num_pictures: how many of this process's first examples to draw.
    num_worst: how many of the worst examples to draw.
    consume: called with the position, the prediction and the example of each.

  Raises:
    ValueError: there is nothing to evaluate.
  """
  collectors, scores, pictures, worst = [task.collector()], {}, {}, Ranking(num_worst)

  def visit(index: int, values: Sequence[float], outcomes: Outcomes) -> None:
    (value,) = values
    scores[index] = value
    if len(pictures) < num_pictures:
      pictures[index] = _draw(task, *outcomes()[0])
    if worst.admits(-value):
      worst.add(-value, index, outcomes()[0])
    if consume:
      consume(index, *outcomes()[0])

  found = score_batches(step, [variables], batches, collectors, visit)
  if not found:
    raise UserError("nothing to evaluate: the split is empty")
  (totals,) = found
  scores = gather_values(scores)
  order = sorted((i for i in scores if not math.isnan(scores[i])), key=lambda i: (scores[i], i))
  chosen = set(order[:num_worst])
  charts = task.charts(totals) if num_pictures else {}
  drawn = {i: _draw(task, *outcome) for i, outcome in worst.items() if i in chosen}
  return Evaluation(task.report(totals), scores, pictures, drawn, charts, totals)


def score_batches(
  step: Step,
  networks: Sequence[Any],
  batches: Iterable[Mapping[str, np.ndarray]],
  collectors: Sequence[Collector | None],
  visit: Callable[[int, Sequence[float], Outcomes], None],
) -> list[Any]:
  """The one pass over a data set: through one network, or through several batch by batch.

  Args:
    step: scores a batch.
    networks: variables of each, where the step wants them.
    batches: see `evaluate`.
    collectors: the task's, one for each network.
    visit: called for every example of this process with its position, its scores by network, and
      a function that returns its outcomes by network.

  Returns:
    For each network the totals over all processes, in 64 bits; empty without a batch.
  """
  totals = None
  for batch in batches:
    scored = [step(variables, batch) for variables in networks]
    # On the host: a count of pixels outgrows the 32 bits that devices have.
    sums = [jax.tree.map(widen, x.metric_sums) for x in scored]
    totals = sums if totals is None else jax.tree.map(np.add, totals, sums)
    for row in np.flatnonzero(batch["mask"]):
      index = int(batch["index"][row])
      # Cutting an example out of a batch takes longer than scoring it; most need not be.
      outcomes = functools.cache(functools.partial(_outcomes, step, batch, int(row), scored))
      for number, collector in enumerate(collectors):
        if collector is not None:
          collector.add(index, *outcomes()[number])
      visit(index, [float(x.per_example_score[row]) for x in scored], outcomes)
  if totals is None:
    return []
  if not step.shared:
    totals = sum_over_processes(totals)
  for number, collector in enumerate(collectors):
    if collector is not None:
      totals[number] = totals[number] | collector.merge(gather_bytes(collector.pack()))
  return totals


def _outcomes(
  step: Step, batch: Mapping[str, np.ndarray], row: int, scored: Sequence[Scored]
) -> list[Outcome]:
  """Prediction and example of one row, by network, as the task draws them."""
  return [step.example(batch, row, jax.tree.map(lambda x: x[row], x.predictions)) for x in scored]


class Ranking:
  """Keeps the `size` entries with the largest values."""

  def __init__(self, size: int):
    self._size, self._heap = size, []

  def admits(self, value: float) -> bool:
    """Whether an entry of this value would be kept for now; NaN never is."""
    full = len(self._heap) >= self._size
    return self._size > 0 and not math.isnan(value) and (not full or value > self._heap[0][0])

  def add(self, value: float, index: int, entry: Any) -> None:
    """Adds an entry that is admitted."""
    push = heapq.heappushpop if len(self._heap) >= self._size else heapq.heappush
    push(self._heap, (value, -index, entry))

  def items(self) -> list[tuple[int, Any]]:
    """Indices and entries, largest value first."""
    return [(-index, entry) for _, index, entry in sorted(self._heap, key=lambda x: x[:2])[::-1]]


def _draw(task: Task, prediction: Any, example: Example) -> np.ndarray:
  return task.picture(as_rgb(example["image"]), prediction, example)


def widen(x: np.ndarray) -> np.ndarray:
  """The same numbers in 64 bits."""
  return np.asarray(x).astype(np.int64 if np.issubdtype(x.dtype, np.integer) else np.float64)
