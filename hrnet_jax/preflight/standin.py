"""Stands in for a data set that is not prepared here: config -> facts and made-up records.

A program depends on the shapes of a batch, not on what is in it. They come from the config's own
transform, and what it needs is a record like those of the data set.
"""

from collections.abc import Callable, Sequence
import dataclasses
import json
import pathlib
from typing import Any

import numpy as np

from hrnet_jax.data import images, inputs, registry
from hrnet_jax.data.builders import base
from hrnet_jax.data.dataset import Dataset
from hrnet_jax.ops import rle

SIDE = 256  # of the made-up images; the transforms bring them to the size of the config
EXAMPLES = 1000  # in each split; only constants of the schedule depend on it


def _label_map(config: Any) -> dict[str, Any]:
  del config
  return {"label": images.encode_png(np.zeros((SIDE, SIDE), np.uint8))}


def _class(config: Any) -> dict[str, Any]:
  del config
  return {"label": 0, "box": np.array([0, 0, SIDE, SIDE], np.int32)}


def _face(config: Any) -> dict[str, Any]:
  points = np.full((config.model.num_landmarks, 2), SIDE / 2)
  return {"points": points, "center": np.array([SIDE / 2, SIDE / 2]), "scale": SIDE / 2 / 200}


def _objects(config: Any) -> dict[str, Any]:
  del config
  box, mask = np.array([[0, 0, SIDE, SIDE]], np.float32), np.ones((SIDE, SIDE), np.uint8)
  return {
    "boxes": box,
    "classes": np.zeros(1, np.int32),
    "ignored": np.zeros(1, np.bool_),
    "ids": np.ones(1, np.int64),
    "masks": json.dumps([rle.encode(mask)]),
  }


# For each task what a record has besides `image` and `name`.
RECORDS: dict[str, Callable[[Any], dict[str, Any]]] = {
  "classification": _class,
  "detection": _objects,
  "landmarks": _face,
  "segmentation": _label_map,
}


@dataclasses.dataclass(frozen=True)
class _StandIn(Dataset):
  record: Any = None

  def source(self, split: str) -> Sequence[dict[str, Any]]:
    return _Repeated(self.record)

  def sizes(self, split: str) -> np.ndarray:
    return np.full((EXAMPLES, 2), SIDE, np.int32)


@dataclasses.dataclass(frozen=True)
class _Repeated(Sequence):
  record: dict[str, Any]

  def __len__(self) -> int:
    return EXAMPLES

  def __getitem__(self, index: int) -> dict[str, Any]:
    return self.record


def open_dataset(config: Any) -> tuple[Dataset, bool]:
  """Opens the data set of a config if it is prepared, and else makes one up.

  Facts such as the names of the classes are the data set's own where they are published with it,
  and otherwise as many as the config asks for.

  Returns:
    The data set, and whether it is the real one.

  Raises:
    ValueError: there is no such data set or task.
  """
  try:
    return inputs.open_dataset(config), True
  except FileNotFoundError:
    pass
  task = config.model.task
  if task not in RECORDS:
    raise ValueError(f"no made-up record for task {task!r}; prepare {config.data.name!r} first")
  photo = images.encode_png(np.zeros((SIDE, SIDE, 3), np.uint8))
  facts = registry.published_facts(config.data.name) or _invented(config)
  return _StandIn(
    name=config.data.name,
    directory=pathlib.Path(),
    fingerprint="",
    statistics={},
    record={"image": photo, "name": "made up", **RECORDS[task](config)},
    **{field.name: getattr(facts, field.name) for field in dataclasses.fields(facts)},
  ), False


def batch_shapes(config: Any, dataset: Dataset) -> dict[str, tuple[tuple[int, ...], np.dtype]]:
  """Shape and type of every array of a training batch, global; runs one example's transform.

  Raises:
    ValueError, TypeError: the transform refuses the config or the record.
  """
  one = config.copy_and_resolve_references()
  with one.unlocked():
    one.train.batch_size, one.data.workers = 1, 0
  with inputs.Inputs(one, dataset).train() as loader:
    example = next(loader)
  size = config.train.batch_size
  return {name: ((size, *x.shape[1:]), x.dtype) for name, x in example.items()}


def _invented(config: Any) -> base.Facts:
  classes = config.model.get("num_classes", 0)
  landmarks = config.model.get("num_landmarks", 0)
  return base.Facts(
    class_names=tuple(f"class {i}" for i in range(classes)),
    palette=((128, 128, 128),) * classes,
    landmark_names=tuple(f"landmark {i}" for i in range(landmarks)),
    flip_pairs=((0, 1),) if landmarks > 1 else (),  # so that examples can be mirrored
  )
