"""One example on the host: mirrored or not."""

from collections.abc import Mapping
import dataclasses

from grain import transforms
import numpy as np


@dataclasses.dataclass(frozen=True)
class TrainTransform(transforms.RandomMap):
  """Half of the pictures are mirrored."""

  flip: bool = True

  def random_map(self, record: Mapping, rng: np.random.Generator) -> dict[str, np.ndarray]:
    example = EvalTransform().map(record)
    del example["name"]  # devices take numbers alone
    if self.flip and rng.integers(2):
      example["image"] = np.ascontiguousarray(example["image"][:, ::-1])
    return example


@dataclasses.dataclass(frozen=True)
class EvalTransform(transforms.Map):
  """The picture as it is."""

  def map(self, record: Mapping) -> dict[str, np.ndarray]:
    count = np.float32(record["count"])
    return {"image": np.asarray(record["image"]), "count": count, "name": record["name"]}
