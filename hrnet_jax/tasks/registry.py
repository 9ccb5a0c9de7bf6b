"""Config -> task. The table below is the whole registry."""

from typing import Any

from hrnet_jax.tasks import classification, detection, landmarks, segmentation
from hrnet_jax.tasks.protocol import Task

BUILDERS = {
  "classification": classification.build,
  "detection": detection.build,
  "landmarks": landmarks.build,
  "segmentation": segmentation.build,
}


def build(config: Any, dataset: Any) -> Task:
  """Builds the task that `config.model.task` names.

  Args:
    config: the whole config.
    dataset: facts about the data: `class_names`, `palette`.

  Raises:
    ValueError: unknown task, or a value that does not fit the data set.
  """
  name = config.model.task
  if name not in BUILDERS:
    raise ValueError(f"unknown task {name!r}; known: {', '.join(sorted(BUILDERS))}")
  return BUILDERS[name](config, dataset)
