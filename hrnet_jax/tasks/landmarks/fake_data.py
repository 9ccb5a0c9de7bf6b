"""Made-up names and records, for checks without a prepared data set."""

from typing import Any

import numpy as np

from hrnet_jax.data.dataset import DatasetInfo


def fake_info(config: Any) -> DatasetInfo:
  """Landmarks with numbers for names; two of them are a pair, so that examples can be mirrored."""
  count = config.model.num_landmarks
  return DatasetInfo(
    name=config.data.name,
    landmark_names=tuple(f"landmark {k}" for k in range(count)),
    flip_pairs=((0, 1),) if count > 1 else (),
  )


def fake_record(config: Any, side: int) -> dict[str, Any]:
  """A made-up record of an image of `side` x `side` pixels, without the image."""
  points = np.full((config.model.num_landmarks, 2), side / 2)
  return {"points": points, "center": np.array([side / 2, side / 2]), "scale": side / 2 / 200}
