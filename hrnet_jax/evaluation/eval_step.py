"""One evaluation step, pure and jitted over the mesh: variables, batch -> sums, predictions."""

from collections.abc import Callable
from typing import Any

import jax
from jax.sharding import Mesh

from hrnet_jax.distributed import sharding
from hrnet_jax.tasks.interface import Batch, Task


def make_eval_step(task: Task, mesh: Mesh) -> Callable[[Any, Batch], tuple[Any, Any, jax.Array]]:
  """Returns `(variables, batch) -> (sums, predictions, quality)`, all on every device.

  The caller adds the sums of all batches; quality tells good examples from bad ones.
  """

  def eval_step(variables: Any, batch: Batch) -> tuple[Any, Any, jax.Array]:
    outputs = task.outputs(variables, task.normalize(batch["image"]), **task.inputs(batch))
    predictions = task.predict(outputs, batch["image"].shape[1:3])
    return task.sums(outputs, batch), predictions, task.quality(outputs, batch)

  return jax.jit(eval_step, out_shardings=sharding.replicated(mesh))
