"""Scenes of `shapes` for landmarks: every kite is an example."""

from collections.abc import Sequence
import functools

import numpy as np

from hrnet_jax.data.dataset import Dataset
from hrnet_jax.data.datasets import shape_distance
from hrnet_jax.data.scene_views import ObjectSource, Record, view
from hrnet_jax.tasks.landmarks.datasets import tables


def each_kite(dataset: Dataset) -> Dataset:
  """A view of a data set in which every kite that lies in the image is an example with landmarks.

  Others may hide some of its landmarks, as hands and hair do with faces. A record has the encoded
  image of the scene, `points`, `center`, `scale` and `box_size` as those of faces have
  (`datasets/faces.py`; pixels count from 0, the box is that of the landmarks), and `visible`.
  Errors can be divided by the kite's span from left to right.
  """
  wings = tuple((shape_distance.KEYPOINT_NAMES.index(name),) for name in ("left", "right"))
  facts = {"class_names": (), "palette": (), "normalizers": {"span": wings}}
  (size,) = {dataset.max_size(split) for split in dataset.splits()}
  return view(dataset, functools.partial(EachKite, size=size), **facts)


class EachKite(ObjectSource):
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
    return np.flatnonzero((scene["classes"] == shape_distance.KITE) & inside)

  def annotation(self, scene: Record, number: int) -> Record:
    """Landmarks and the box around them."""
    points = scene["landmarks"][number].astype(np.float64)
    center, scale = tables.box_of_points(points)
    return {
      "points": points,
      "center": center,
      "scale": np.float64(scale),
      "box_size": np.float64(200 * scale),
      "visible": scene["visible"][number],
    }
