"""Scenes of `shapes` for detection: every scene is an example with boxes and masks."""

from collections.abc import Sequence
import dataclasses
import json
import operator

import numpy as np

from hrnet_jax.data import images
from hrnet_jax.data.dataset import Dataset
from hrnet_jax.data.scene_views import Record, fields, without_background
from hrnet_jax.ops import rle


def each_scene(dataset: Dataset) -> Dataset:
  """A view of a data set in which every scene is an example with boxes and masks of its objects.

  Records are those of `datasets/coco.py`: the image's id is the position of the scene, those of the
  objects count from 1 in each, and categories are numbered from 1.
  """
  facts = without_background(dataset)
  facts["class_ids"] = tuple(range(1, len(facts["class_names"]) + 1))
  return _Scenes(**fields(dataset) | facts)


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


@dataclasses.dataclass(frozen=True)
class _Scenes(Dataset):
  def source(self, split: str) -> EachScene:
    return EachScene(super().source(split))
