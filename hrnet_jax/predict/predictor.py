"""The contract between the predict command and a task: photo -> `(h, w, C)` uint8 -> files."""

from collections.abc import Mapping, Sequence
import dataclasses
import pathlib
from typing import Any, Protocol

import numpy as np


@dataclasses.dataclass(frozen=True)
class Photo:
  """A photo and its forms for the network: itself, or parts of it.

  Attributes:
    path: where it came from.
    pixels: `(H, W, 3)` uint8 RGB, upright, for pictures.
    inputs: each `(h, w, C)` uint8, what the network is shown; one or more.
    note: what people should know about these forms; may be empty.
    extras: for each input what else the network takes, by keyword; see `Task.outputs`. Empty if it
      takes nothing else.
  """

  path: pathlib.Path
  pixels: np.ndarray
  inputs: Sequence[np.ndarray]
  note: str = ""
  extras: Sequence[Mapping[str, np.ndarray]] = ()


class Predictor(Protocol):
  """Prepares photos and saves predictions; made from a checkpoint by `TaskSpec.predictor`.

  It may have a method `decode(task, outputs, size)` that makes predictions in place of the task's
  `predict(outputs, size)`. JAX traces it; it returns arrays by image. And it may have a method
  `describe(names)` that says what in the user's options has no part in photos of these names.
  """

  def load(self, path: pathlib.Path, max_side: int) -> Photo:
    """Reads a photo and brings it to a size that suits the network.

    Args:
      path: of the photo.
      max_side: the long side above which it is reduced, where its size is kept otherwise.

    Raises:
      OSError: the file cannot be read. ValueError: it is not an intact image.
    """

  def save(self, photo: Photo, predictions: Sequence[Any], stem: pathlib.Path) -> None:
    """Writes the files of one photo.

    Args:
      photo: the photo.
      predictions: the task's or `decode`'s, for each input.
      stem: path of the files without their endings.
    """
