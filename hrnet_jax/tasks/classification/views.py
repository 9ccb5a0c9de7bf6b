"""Scenes of `shapes` for classification: every object is an example."""

import numpy as np

from hrnet_jax.data.dataset import Dataset
from hrnet_jax.data.scene_views import ObjectSource, Record, view, without_background

MARGIN = 0.15  # of the longer side of a box, added all around


def each_object(dataset: Dataset) -> Dataset:
  """A view of a data set in which every object is an example with one class.

  A record has the encoded image of the scene, `label`, the object's class, and `box`, the part of
  the image to look at: int32 x0 y0 x1 y1, which may leave the image.
  """
  return view(dataset, EachObject, **without_background(dataset))


class EachObject(ObjectSource):
  """The objects of a source by index. Can be pickled."""

  def annotation(self, scene: Record, number: int) -> Record:
    """The class and the square around an object."""
    return {
      "label": int(scene["classes"][number]) - 1,
      "box": _square(scene["boxes"][number]),
    }


def _square(box):
  """A square around a box, with a margin."""
  x0, y0, x1, y1 = box
  half = (0.5 + MARGIN) * max(x1 - x0, y1 - y0)
  centre = np.array([x0 + x1, y0 + y1]) / 2
  return np.concatenate([np.floor(centre - half), np.ceil(centre + half)]).astype(np.int32)
