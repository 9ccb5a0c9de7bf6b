"""Scenes as single objects: a record with `boxes (N, 4), classes (N,)` -> N records."""

from collections.abc import Sequence
import dataclasses
import operator
from typing import Any

import numpy as np

from hrnet_jax.data.dataset import Dataset

MARGIN = 0.15  # of the longer side of a box, added all around


def each_object(dataset: Dataset) -> Dataset:
  """A view of a data set in which every object is an example with one class.

  A record has the encoded image of the scene, `label`, the object's class, and `box`, the part of
  the image to look at: int32 x0 y0 x1 y1, which may leave the image. Class 0 of the scenes is the
  ground, of which there are no objects: class `k` of the scenes is `k - 1` here.
  """
  numbers = {split: len(EachObject(dataset.source(split))) for split in dataset.splits()}
  return _EachObject(
    **{field.name: getattr(dataset, field.name) for field in dataclasses.fields(dataset)}
    | {
      "class_names": dataset.class_names[1:],
      "palette": dataset.palette[1:],
      "statistics": {
        split: values | {"num_examples": numbers[split], "uniform_size": False}
        for split, values in dataset.statistics.items()
      },
    }
  )


@dataclasses.dataclass(frozen=True)
class _EachObject(Dataset):
  def source(self, split: str) -> "EachObject":
    return EachObject(super().source(split))


class EachObject:
  """The objects of a source by index: those of its first record, then those of its second, ...

  Can be pickled. Reads all records once, without decoding an image, to know how many there are.
  """

  def __init__(self, scenes: Sequence[dict[str, Any]]):
    self._scenes = scenes
    self._ends = np.cumsum([len(scene["classes"]) for scene in scenes])

  def __len__(self) -> int:
    return int(self._ends[-1]) if len(self._ends) else 0

  def __getitem__(self, index: int) -> dict[str, Any]:
    position = operator.index(index)
    if not 0 <= position < len(self):
      raise IndexError(f"object {position} of {len(self)} in {self!r}")
    scene_index = int(np.searchsorted(self._ends, position, side="right"))
    scene = self._scenes[scene_index]
    number = position - int(self._ends[scene_index]) + len(scene["classes"])
    return {
      "image": scene["image"],
      "label": int(scene["classes"][number]) - 1,
      "box": _square(scene["boxes"][number]),
      "name": f"{scene['name']}/{number}",
    }

  def __repr__(self) -> str:
    return f"EachObject({self._scenes!r})"


def _square(box):
  """A square around a box, with a margin."""
  x0, y0, x1, y1 = box
  half = (0.5 + MARGIN) * max(x1 - x0, y1 - y0)
  centre = np.array([x0 + x1, y0 + y1]) / 2
  return np.concatenate([np.floor(centre - half), np.ceil(centre + half)]).astype(np.int32)
