"""Results in COCO's format: what was found in a split -> `boxes.json`, `masks.json`."""

from collections.abc import Mapping
import json
import pathlib
from typing import Any, ClassVar

import jax
import numpy as np

from hrnet_jax.data.dataset import Dataset
from hrnet_jax.files import write_whole
from hrnet_jax.tasks.detection import metrics
from hrnet_jax.tasks.detection.task import Detection


class CocoResults:
  """`boxes.json` and for networks with masks `masks.json`: results in COCO's format.

  Ids of images and categories are those of the data set's own files. One process writes what all
  have found, so that the files are the same however many there are.
  """

  FILES: ClassVar = {"boxes": "bbox", "masks": "segm"}

  def __init__(self, folder: pathlib.Path, dataset: Dataset, task: Detection):
    """Writes to `folder`."""
    del dataset
    self._folder, self._task = folder, task
    folder.mkdir(parents=True, exist_ok=True)

  def add(self, index: int, prediction: Any, example: Mapping[str, np.ndarray]) -> None:
    """Nothing; the task's collector takes the detections."""

  def finish(self, totals: Mapping[str, Any]) -> None:
    """See `ResultWriter`."""
    if jax.process_index():
      return
    method, truth = self._task.model.method, self._task.truth()
    for name, kind in self.FILES.items() if method.masks else [*self.FILES.items()][:1]:
      rows = metrics.results(truth, totals["detections"], kind)
      # A line for each object, so that people can look at it.
      lines = ",\n".join(json.dumps(row, separators=(",", ":")) for row in rows)
      write_whole(self._folder / f"{name}.json", f"[\n{lines}\n]\n")
