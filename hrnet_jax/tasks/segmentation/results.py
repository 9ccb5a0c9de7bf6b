"""Label maps as files: `(h, w)` classes -> `NAME.png` with the data set's own ids."""

from collections.abc import Mapping, Sequence
import pathlib
from typing import Any

import numpy as np
from PIL import Image

from hrnet_jax.data.dataset import Dataset
from hrnet_jax.data.regular_files import name_inside
from hrnet_jax.tasks.interface import Task
from hrnet_jax.visualize.sheet import save_png


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
    """See `ResultWriter`; `prediction` is `(h, w)` classes."""
    del index
    path = self._folder / f"{name_inside(example['name'])}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(self._ids[prediction])
    if self._palette:
      image.putpalette(self._palette)
    save_png(path, image)

  def finish(self, totals: Mapping[str, Any]) -> None:
    """Everything is written."""


def _palette(ids: Sequence[int], colours: Sequence[Sequence[int]]) -> list[int]:
  table = np.zeros((256, 3), np.uint8)
  table[list(ids)] = np.asarray(colours, np.uint8)
  return table.ravel().tolist()
