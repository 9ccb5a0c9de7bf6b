"""Made-up records, for checks without a prepared data set."""

from typing import Any

import numpy as np

from hrnet_jax.data import images


def fake_record(config: Any, side: int) -> dict[str, Any]:
  """A made-up record of an image of `side` x `side` pixels, without the image."""
  del config
  return {"label": images.encode_png(np.zeros((side, side), np.uint8))}
