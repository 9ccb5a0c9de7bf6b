"""One evaluation step, jitted over the mesh: variables, batch -> sums, predictions, scores."""

from collections.abc import Callable
from typing import Any

import jax
from jax.sharding import Mesh

from hrnet_jax.distributed import sharding
from hrnet_jax.tasks.interface import Batch, Task


def make_eval_step(task: Task, mesh: Mesh) -> Callable[[Any, Batch], tuple[Any, Any, jax.Array]]:
  """Returns `(variables, batch) -> (metric sums, predictions, scores)`, all on every device.

  The caller adds the sums of all batches; the score of an example tells good ones from bad ones.
  """

  def eval_step(variables: Any, batch: Batch) -> tuple[Any, Any, jax.Array]:
    outputs = task.outputs(variables, task.normalize(batch["image"]), **task.inputs(batch))
    predictions = task.predict(outputs, batch["image"].shape[1:3])
    return task.metric_sums(outputs, batch), predictions, task.per_example_score(outputs, batch)

  return jax.jit(eval_step, out_shardings=sharding.replicated(mesh))
