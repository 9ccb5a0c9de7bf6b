"""Scenes of `shapes` as a task reads them: a record with `boxes (N, 4), classes (N,), ...` -> some.

Class 0 of the scenes is the background, of which there are no objects: class `k` of the scenes is
`k - 1` of objects.
"""

from collections.abc import Callable, Sequence
import dataclasses
import operator
from typing import Any

import numpy as np

from hrnet_jax.data.dataset import Dataset

Record = dict[str, Any]


class ObjectSource:
  """The objects of a source by index: those of its first record, then those of its second, ...

  Can be pickled. Reads all records once, without decoding an image, to know how many there are.
  """

  def __init__(self, scenes: Sequence[Record]):
    self._scenes = scenes
    self._ends = np.cumsum([len(self.chosen(scene)) for scene in scenes])

  def __len__(self) -> int:
    return int(self._ends[-1]) if len(self._ends) else 0

  def __getitem__(self, index: int) -> Record:
    position = operator.index(index)
    if not 0 <= position < len(self):
      raise IndexError(f"object {position} of {len(self)} in {self!r}")
    scene_index = int(np.searchsorted(self._ends, position, side="right"))
    scene = self._scenes[scene_index]
    chosen = self.chosen(scene)
    number = int(chosen[position - int(self._ends[scene_index])])
    name = f"{scene['name']}/{number}"
    return {"image": scene["image"], "name": name} | self.annotation(scene, number)

  def __repr__(self) -> str:
    return f"{type(self).__name__}({self._scenes!r})"

  def chosen(self, scene: Record) -> np.ndarray:
    """Numbers of the objects that are examples: all."""
    return np.arange(len(scene["classes"]))

  def annotation(self, scene: Record, number: int) -> Record:
    """Annotation of an object for its record, besides the encoded image and its name."""
    raise NotImplementedError


@dataclasses.dataclass(frozen=True)
class _View(Dataset):
  make: Callable[[Sequence[Record]], ObjectSource] = ObjectSource

  def source(self, split: str) -> ObjectSource:
    return self.make(super().source(split))


def view(
  dataset: Dataset, make: Callable[[Sequence[Record]], ObjectSource], **facts: Any
) -> Dataset:
  """A data set whose examples are the objects that `make` finds in its scenes.

  Args:
    dataset: of scenes.
    make: the source of a split's records -> its objects.
    **facts: fields of `Dataset` that are others for objects.
  """
  numbers = {split: len(make(dataset.source(split))) for split in dataset.splits()}
  return _View(
    **fields(dataset)
    | facts
    | {
      "statistics": {
        split: values | {"num_examples": numbers[split], "uniform_size": False}
        for split, values in dataset.statistics.items()
      },
    },
    make=make,
  )


def fields(dataset: Dataset) -> dict[str, Any]:
  """The fields of a data set by name."""
  return {field.name: getattr(dataset, field.name) for field in dataclasses.fields(dataset)}


def without_background(dataset: Dataset) -> dict[str, Any]:
  """Facts about the classes of objects: all but the first of the scenes."""
  return {"class_names": dataset.class_names[1:], "palette": dataset.palette[1:]}
