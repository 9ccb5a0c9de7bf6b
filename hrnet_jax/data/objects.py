"""Scenes as a task looks at them: a record with `boxes (N, 4), classes (N,), ...` -> some records.

Class 0 of the scenes is the ground, of which there are no objects: class `k` of the scenes is
`k - 1` of objects.
"""

from collections.abc import Callable, Sequence
import dataclasses
import functools
import json
import operator
from typing import Any

import numpy as np

from hrnet_jax.data import images
from hrnet_jax.data.builders import landmark_rows, outlines
from hrnet_jax.data.dataset import Dataset
from hrnet_jax.ops import rle

MARGIN = 0.15  # of the longer side of a box, added all around
Record = dict[str, Any]


def each_object(dataset: Dataset) -> Dataset:
  """A view of a data set in which every object is an example with one class.

  A record has the encoded image of the scene, `label`, the object's class, and `box`, the part of
  the image to look at: int32 x0 y0 x1 y1, which may leave the image.
  """
  return _view(dataset, EachObject, _without_ground(dataset))


def each_kite(dataset: Dataset) -> Dataset:
  """A view of a data set in which every kite that lies in the image is an example with landmarks.

  Others may hide some of its landmarks, as hands and hair do with faces. A record has the encoded
  image of the scene, `points`, `center`, `scale` and `box_size` as those of faces have
  (`builders/faces.py`; pixels count from 0, the box is that of the landmarks), and `visible`.
  Errors can be divided by the kite's span from left to right.
  """
  wings = tuple((outlines.LANDMARK_NAMES.index(name),) for name in ("left", "right"))
  facts = {"class_names": (), "palette": (), "normalizers": {"span": wings}}
  (size,) = {dataset.max_size(split) for split in dataset.splits()}
  return _view(dataset, functools.partial(EachKite, size=size), facts)


def each_scene(dataset: Dataset) -> Dataset:
  """A view of a data set in which every scene is an example with boxes and masks of its objects.

  Records are those of `builders/coco.py`: the image's id is the position of the scene, those of the
  objects count from 1 in each, and categories are numbered from 1.
  """
  facts = _without_ground(dataset)
  facts["class_ids"] = tuple(range(1, len(facts["class_names"]) + 1))
  return _Scenes(**_fields(dataset) | facts)


class EachScene(Sequence):
  """The scenes of a source by index. Can be pickled."""

  def __init__(self, scenes: Sequence[Record]):
    self._scenes = scenes

  def __len__(self) -> int:
    return len(self._scenes)

  def __getitem__(self, index: int) -> Record:
    scene = self._scenes[index]
    instances = images.decode_label(scene["instances"], scene["name"])
    boxes, count = scene["boxes"], len(scene["classes"])
    masks = [instances == number for number in range(1, count + 1)]
    sides = (boxes[:, 2:] - boxes[:, :2]).astype(np.float64)
    return {
      "image": scene["image"],
      "name": scene["name"],
      "image_id": operator.index(index),
      "size": np.array(instances.shape, np.int32),
      "boxes": boxes,
      "bboxes": np.concatenate([boxes[:, :2].astype(np.float64), sides], 1),
      "classes": scene["classes"] - 1,
      "areas": np.array([mask.sum() for mask in masks], np.float64),
      "crowd": np.zeros(count, np.bool_),
      "ignored": np.zeros(count, np.bool_),
      "ids": np.arange(1, count + 1),
      "masks": json.dumps([rle.encode(mask) for mask in masks]),
    }


class EachObject:
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
    """The class and the square around an object."""
    return {
      "label": int(scene["classes"][number]) - 1,
      "box": _square(scene["boxes"][number]),
    }


class EachKite(EachObject):
  """The kites of a source, in scenes of one size (height, width), by index."""

  def __init__(self, scenes: Sequence[Record], size: tuple[int, int]):
    self._limit = np.array(size[::-1]) - 0.5
    super().__init__(scenes)

  def chosen(self, scene: Record) -> np.ndarray:
    """Numbers of the kites of which all landmarks lie in the image.

    The reference has no target for a landmark above the image.
    """
    points = scene["landmarks"]
    inside = ((points > -0.5) & (points < self._limit)).all((1, 2))
    return np.flatnonzero((scene["classes"] == outlines.KITE) & inside)

  def annotation(self, scene: Record, number: int) -> Record:
    """Landmarks and the box around them."""
    points = scene["landmarks"][number].astype(np.float64)
    center, scale = landmark_rows.box_of_points(points)
    return {
      "points": points,
      "center": center,
      "scale": np.float64(scale),
      "box_size": np.float64(200 * scale),
      "visible": scene["visible"][number],
    }


@dataclasses.dataclass(frozen=True)
class _Objects(Dataset):
  make: Callable[[Sequence[Record]], EachObject] = EachObject

  def source(self, split: str) -> EachObject:
    return self.make(super().source(split))


@dataclasses.dataclass(frozen=True)
class _Scenes(Dataset):
  def source(self, split: str) -> EachScene:
    return EachScene(super().source(split))


def _fields(dataset):
  return {field.name: getattr(dataset, field.name) for field in dataclasses.fields(dataset)}


def _without_ground(dataset):
  return {"class_names": dataset.class_names[1:], "palette": dataset.palette[1:]}


def _view(dataset, make, facts):
  numbers = {split: len(make(dataset.source(split))) for split in dataset.splits()}
  return _Objects(
    **_fields(dataset)
    | facts
    | {
      "statistics": {
        split: values | {"num_examples": numbers[split], "uniform_size": False}
        for split, values in dataset.statistics.items()
      },
    },
    make=make,
  )


def _square(box):
  """A square around a box, with a margin."""
  x0, y0, x1, y1 = box
  half = (0.5 + MARGIN) * max(x1 - x0, y1 - y0)
  centre = np.array([x0 + x1, y0 + y1]) / 2
  return np.concatenate([np.floor(centre - half), np.ceil(centre + half)]).astype(np.int32)
