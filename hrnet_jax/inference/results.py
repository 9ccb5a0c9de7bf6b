"""Predictions as files: those that a data set's judges take, or a table of positions."""

from collections.abc import Mapping, Sequence
import csv
import json
import pathlib
from typing import Any, ClassVar, Protocol

import jax
import numpy as np
from PIL import Image

from hrnet_jax.data.dataset import Dataset
from hrnet_jax.metrics import coco
from hrnet_jax.tasks.detection import Detection
from hrnet_jax.tasks.landmarks import PLACE, Landmarks
from hrnet_jax.tasks.protocol import Task
from hrnet_jax.training.files import write_whole


class Writer(Protocol):
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


class LabelMaps:
  """`NAME.png`, 8 bits a pixel, with the ids that the data set's own files use and its colours.

  For Cityscapes these are the label ids, which its server wants, not the train ids. Where ids go
  beyond 255, as those of PASCAL-Context do, it is 16 bits a pixel without colours.
  """

  def __init__(self, folder: pathlib.Path, dataset: Dataset, task: Task):
    """Writes to `folder`; a name with folders gets folders in it."""
    del task
    self._folder = folder
    ids = dataset.class_ids or tuple(range(len(dataset.class_names)))
    wide = max(ids) > np.iinfo(np.uint8).max
    self._ids = np.zeros(256, np.uint16 if wide else np.uint8)
    self._ids[: len(ids)] = ids
    self._palette = None if wide else _palette(ids, dataset.palette)

  def add(self, index: int, prediction: Any, example: Mapping[str, np.ndarray]) -> None:
    """See `Writer`; `prediction` is `(h, w)` classes."""
    del index
    path = self._folder / f"{example['name']}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(self._ids[prediction])
    if self._palette:
      image.putpalette(self._palette)
    image.save(path)

  def finish(self, totals: Mapping[str, Any]) -> None:
    """Everything is written."""


class LandmarkTable:
  """`landmarks.csv`: index, name, and x and y of every landmark in the image, as annotated.

  Of several processes each writes a table of its own, `landmarks_1_of_4.csv`.
  """

  def __init__(self, folder: pathlib.Path, dataset: Dataset, task: Landmarks):
    """Writes to `folder`; a table of an earlier run is replaced."""
    self._task = task
    index, count = jax.process_index(), jax.process_count()
    part = f"_{index + 1}_of_{count}" if count > 1 else ""
    self._path = folder / f"landmarks{part}.csv"
    folder.mkdir(parents=True, exist_ok=True)
    numbers = range(len(dataset.landmark_names))
    with self._path.open("w", newline="", encoding="utf-8") as file:
      columns = [f"{axis}{i}" for i in numbers for axis in "xy"]
      csv.writer(file).writerow(["index", "image_name", *columns])

  def add(self, index: int, prediction: Any, example: Mapping[str, np.ndarray]) -> None:
    """See `Writer`; `prediction` is `(L, 2)` pixels of the crop."""
    numbers = {key: np.asarray(x)[None] for key, x in example.items() if key in PLACE}
    points = np.asarray(self._task.to_image(np.asarray(prediction)[None], numbers))[0]
    with self._path.open("a", newline="", encoding="utf-8") as file:
      row = [index, str(example["name"]), *(f"{x:.4f}" for x in points.ravel())]
      csv.writer(file).writerow(row)

  def finish(self, totals: Mapping[str, Any]) -> None:
    """Everything is written."""


class Objects:
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
    """Nothing; the task's gatherer takes the detections."""

  def finish(self, totals: Mapping[str, Any]) -> None:
    """See `Writer`."""
    if jax.process_index():
      return
    method, truth = self._task.model.method, self._task.truth()
    for name, kind in self.FILES.items() if method.masks else [*self.FILES.items()][:1]:
      rows = coco.results(truth, totals["detections"], kind)
      # A line for each object, so that people can look at it.
      lines = ",\n".join(json.dumps(row, separators=(",", ":")) for row in rows)
      write_whole(self._folder / f"{name}.json", f"[\n{lines}\n]\n")


WRITERS: dict[str, type] = {
  "detection": Objects,
  "landmarks": LandmarkTable,
  "segmentation": LabelMaps,
}


def open_writer(name: str, folder: pathlib.Path, dataset: Dataset, task: Task) -> Writer:
  """Makes the writer of a task.

  Args:
    name: of the task, `config.model.task`.
    folder: for the files.
    dataset: of the examples.
    task: that makes the predictions.

  Raises:
    ValueError: the task has none.
  """
  if name not in WRITERS:
    raise ValueError(f"no result files for task {name!r}; known: {', '.join(sorted(WRITERS))}")
  return WRITERS[name](folder, dataset, task)


def _palette(ids: Sequence[int], colours: Sequence[Sequence[int]]) -> list[int]:
  table = np.zeros((256, 3), np.uint8)
  table[list(ids)] = np.asarray(colours, np.uint8)
  return table.ravel().tolist()
