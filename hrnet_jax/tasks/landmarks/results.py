"""Positions as a table: `(L, 2)` pixels of a crop -> a row of `landmarks.csv` in image pixels."""

from collections.abc import Mapping
import pathlib
from typing import Any

import jax
import numpy as np

from hrnet_jax.data.dataset import Dataset
from hrnet_jax.data.text import as_csv
from hrnet_jax.files import write_whole
from hrnet_jax.tasks.landmarks.task import PLACE, Landmarks


class LandmarkTable:
  """`landmarks.csv`: index, name, and x and y of every landmark in the image, as annotated.

  The file appears when all are there; a table of an earlier evaluation stays until then. Of several
  processes each writes a table of its own, `landmarks_1_of_4.csv`.
  """

  def __init__(self, folder: pathlib.Path, dataset: Dataset, task: Landmarks):
    """Writes to `folder`."""
    self._task = task
    index, count = jax.process_index(), jax.process_count()
    part = f"_{index + 1}_of_{count}" if count > 1 else ""
    self._path = folder / f"landmarks{part}.csv"
    folder.mkdir(parents=True, exist_ok=True)
    columns = [f"{axis}{i}" for i in range(len(dataset.landmark_names)) for axis in "xy"]
    self._rows = [as_csv([["index", "image_name", *columns]])]

  def add(self, index: int, prediction: Any, example: Mapping[str, np.ndarray]) -> None:
    """See `ResultWriter`; `prediction` is `(L, 2)` pixels of the crop."""
    numbers = {key: np.asarray(x)[None] for key, x in example.items() if key in PLACE}
    points = np.asarray(self._task.to_image(np.asarray(prediction)[None], numbers))[0]
    row = [index, str(example["name"]), *(f"{x:.4f}" for x in points.ravel())]
    self._rows.append(as_csv([row]))

  def finish(self, totals: Mapping[str, Any]) -> None:
    """See `ResultWriter`."""
    write_whole(self._path, b"".join(self._rows))
