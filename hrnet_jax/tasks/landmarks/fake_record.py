"""Made-up records for pre-flight without a prepared data set: config -> record without image."""

from typing import Any

import numpy as np


def fake_record(config: Any, side: int) -> dict[str, Any]:
  """A made-up record of an image of `side` x `side` pixels, without the image."""
  points = np.full((config.model.num_landmarks, 2), side / 2)
  return {"points": points, "center": np.array([side / 2, side / 2]), "scale": side / 2 / 200}
