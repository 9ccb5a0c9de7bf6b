"""Grey pictures `(32, 32, 1)` of one to four discs, drawn when they are asked for first."""

import dataclasses
import pathlib
from typing import Any, ClassVar

import numpy as np
import tensorflow_datasets as tfds

from hrnet_jax.data.dataset import DatasetInfo
from hrnet_jax.data.datasets import base

SIDE, MOST = 32, 4


@dataclasses.dataclass(frozen=True)
class Disc:
  """One picture, known by its split and number."""

  split: str
  index: int
  size: int = SIDE * SIDE

  def cache_key(self) -> str:
    return f"{self.split} {self.index}"


class Discs(base.Builder):
  """Bright discs on noise; `count` says how many. Pixels are stored as they are, not encoded."""

  VERSION = tfds.core.Version("1.0.0")
  RELEASE_NOTES: ClassVar = {"1.0.0": "First."}
  NEEDS_SOURCE = False
  COUNTED = "images"

  def plan(self, source: pathlib.Path | None) -> dict[str, list[Disc]]:
    return {split: [Disc(split, i) for i in range(n)] for split, n in (("train", 32), ("val", 12))}

  def record(self, item: Disc) -> dict[str, Any]:
    rng = np.random.default_rng([item.index, item.split == "val"])
    count = 1 + item.index % MOST
    image = rng.integers(0, 60, (SIDE, SIDE, 1)).astype(np.uint8)
    ys, xs = np.mgrid[:SIDE, :SIDE]
    for corner in rng.permutation(4)[:count]:
      y, x = 8 + 16 * (corner // 2), 8 + 16 * (corner % 2)
      image[(ys - y) ** 2 + (xs - x) ** 2 < 25] = 230
    return {"image": image, "count": count, "name": f"{item.split}_{item.index}"}

  def measured(self, item: Disc) -> tuple[dict[str, Any], tuple[int, int], np.ndarray]:
    record = self.record(item)
    return record, (SIDE, SIDE), np.append(np.eye(MOST, dtype=int)[record["count"] - 1], 0)

  def facts(self, source: pathlib.Path | None) -> DatasetInfo:
    names = tuple(str(n) for n in range(1, MOST + 1))
    return DatasetInfo(class_names=names, palette=((0, 0, 0),) * MOST)

  def features(self) -> dict[str, Any]:
    return {
      "image": tfds.features.Tensor(shape=(SIDE, SIDE, 1), dtype=np.uint8),
      "count": tfds.features.Scalar(dtype=np.int32),
      "name": tfds.features.Text(),
    }


def fake_record(config: Any, side: int) -> dict[str, Any]:
  """For pre-flight, which brings an image of its own."""
  del config, side
  return {"count": 1, "image": np.zeros((SIDE, SIDE, 1), np.uint8)}
