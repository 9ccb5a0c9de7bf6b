"""Counts of a split as a table."""

from collections.abc import Mapping
import pathlib
from typing import Any

import numpy as np


class CountTable:
  """`counts.csv`: name and count."""

  def __init__(self, folder: pathlib.Path, dataset: Any, task: Any):
    folder.mkdir(parents=True, exist_ok=True)
    self._path, self._rows = folder / "counts.csv", []

  def add(self, index: int, prediction: Any, example: Mapping[str, np.ndarray]) -> None:
    self._rows.append(f"{example['name']},{float(prediction):.4f}\n")

  def finish(self, totals: Mapping[str, Any]) -> None:
    self._path.write_text("".join(self._rows))
