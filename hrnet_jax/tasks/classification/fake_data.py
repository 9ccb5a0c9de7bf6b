"""Made-up records, for checks without a prepared data set."""

from typing import Any

import numpy as np


def fake_record(config: Any, side: int) -> dict[str, Any]:
  """A made-up record of an image of `side` x `side` pixels, without the image."""
  del config
  return {"label": 0, "box": np.array([0, 0, side, side], np.int32)}
