"""Predictions as files, in the form that a data set's judges take; each task has its own writer."""

from collections.abc import Mapping
import pathlib
from typing import Any, Protocol

import numpy as np

from hrnet_jax import registry
from hrnet_jax.data.dataset import Dataset
from hrnet_jax.tasks.interface import Task


class ResultWriter(Protocol):
  """Writes one prediction after the other; several processes write into one folder."""

  def add(self, index: int, prediction: Any, example: Mapping[str, np.ndarray]) -> None:
    """Writes one.

    Args:
      index: position in the data set.
      prediction: the task's.
      example: what was tested; has its `name`.
    """

  def finish(self, totals: Mapping[str, Any]) -> None:
    """Writes what is about all examples of all processes.

    Args:
      totals: from which the task's report was made.
    """


def open_writer(name: str, folder: pathlib.Path, dataset: Dataset, task: Task) -> ResultWriter:
  """Makes the writer of a task.

  Args:
    name: of the task, `config.model.task`.
    folder: for the files.
    dataset: of the examples.
    task: that makes the predictions.

  Raises:
    ValueError: the task has none.
  """
  return registry.task_part(name, "result_writer", "result files")(folder, dataset, task)
