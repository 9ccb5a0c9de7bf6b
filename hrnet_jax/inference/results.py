"""Predictions in the form in which a data set's judges take them: one file for each example."""

from collections.abc import Mapping, Sequence
import pathlib
from typing import Any, Protocol

import numpy as np
from PIL import Image

from hrnet_jax.data.dataset import Dataset


class Writer(Protocol):
  """Writes one prediction after the other; several processes write into one folder."""

  def add(self, index: int, prediction: Any, example: Mapping[str, np.ndarray]) -> None:
    """Writes one.

    Args:
      index: position in the data set.
      prediction: the task's.
      example: what was tested; has its `name`.
    """


class LabelMaps:
  """`NAME.png`, 8 bits a pixel, with the ids that the data set's own files use and its colours.

  For Cityscapes these are the label ids, which its server wants, not the train ids.
  """

  def __init__(self, folder: pathlib.Path, dataset: Dataset):
    """Writes to `folder`; a name with folders gets folders in it."""
    self._folder = folder
    ids = dataset.class_ids or tuple(range(len(dataset.class_names)))
    self._ids = np.zeros(256, np.uint8)
    self._ids[: len(ids)] = ids
    self._palette = _palette(ids, dataset.palette)

  def add(self, index: int, prediction: Any, example: Mapping[str, np.ndarray]) -> None:
    """See `Writer`; `prediction` is `(h, w)` classes."""
    del index
    path = self._folder / f"{example['name']}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(self._ids[prediction])
    image.putpalette(self._palette)
    image.save(path)


WRITERS: dict[str, type] = {"segmentation": LabelMaps}


def open_writer(task: str, folder: pathlib.Path, dataset: Dataset) -> Writer:
  """Makes the writer of a task.

  Raises:
    ValueError: the task has none.
  """
  if task not in WRITERS:
    raise ValueError(f"no result files for task {task!r}; known: {', '.join(sorted(WRITERS))}")
  return WRITERS[task](folder, dataset)


def _palette(ids: Sequence[int], colours: Sequence[Sequence[int]]) -> list[int]:
  table = np.zeros((256, 3), np.uint8)
  table[list(ids)] = np.asarray(colours, np.uint8)
  return table.ravel().tolist()
