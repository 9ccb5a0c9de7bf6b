"""One exact pass over a data set: batches -> report and pictures."""

from collections.abc import Callable, Iterable, Mapping
import dataclasses
from typing import Any

import jax
from jax.sharding import Mesh
import numpy as np

from hrnet_jax.tasks.protocol import Task
from hrnet_jax.training import sharding


@dataclasses.dataclass(frozen=True)
class Evaluation:
  """Result of one pass.

  Attributes:
    report: the task's figures.
    pictures: predictions beside their truth, `(h, w, 3)` uint8, by position in the data set.
  """

  report: dict[str, Any]
  pictures: dict[int, np.ndarray]


def evaluate(
  task: Task,
  eval_step: Callable[..., tuple[Any, Any]],
  variables: Mapping[str, Any],
  batches: Iterable[Mapping[str, np.ndarray]],
  mesh: Mesh,
  *,
  num_pictures: int = 0,
) -> Evaluation:
  """Scores every example once; totals are kept on the host in 64 bits.

  Args:
    task: see `Task`.
    eval_step: from `make_eval_step`.
    variables: of the network, on the mesh.
    batches: this process's; all processes must have equally many. `mask` is False for
      examples that only fill up the last one; `index` is the position in the data set.
    mesh: devices.
    num_pictures: how many of this process's first examples to draw.

  Raises:
    ValueError: there is nothing to evaluate.
  """
  total, pictures = None, {}
  for batch in batches:
    sums, predictions = eval_step(variables, sharding.to_global(batch, mesh))
    sums = jax.tree.map(_widen, jax.device_get(sums))
    total = sums if total is None else jax.tree.map(np.add, total, sums)
    if len(pictures) < num_pictures:
      drawn = _draw(task, batch, jax.device_get(predictions), num_pictures - len(pictures))
      pictures |= drawn
  if total is None:
    raise ValueError("nothing to evaluate: the split is empty")
  return Evaluation(task.report(total), pictures)


def _draw(
  task: Task, batch: Mapping[str, np.ndarray], predictions: Any, limit: int
) -> dict[int, np.ndarray]:
  # This process's examples are one run of rows of the global batch.
  first = jax.process_index() * len(batch["mask"])
  rows = np.flatnonzero(batch["mask"])[:limit]
  return {
    int(batch["index"][row]): task.picture(
      batch["image"][row],
      jax.tree.map(lambda x, row=row: x[first + row], predictions),
      {name: value[row] for name, value in batch.items()},
    )
    for row in rows
  }


def _widen(x: np.ndarray) -> np.ndarray:
  return np.asarray(x).astype(np.int64 if np.issubdtype(x.dtype, np.integer) else np.float64)
