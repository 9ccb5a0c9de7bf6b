"""Made-up records, for checks without a prepared data set."""

import json
from typing import Any

import numpy as np

from hrnet_jax.ops import rle


def fake_record(config: Any, side: int) -> dict[str, Any]:
  """A made-up record of an image of `side` x `side` pixels, without the image."""
  del config
  box, mask = np.array([[0, 0, side, side]], np.float32), np.ones((side, side), np.uint8)
  return {
    "boxes": box,
    "classes": np.zeros(1, np.int32),
    "ignored": np.zeros(1, np.bool_),
    "ids": np.ones(1, np.int64),
    "masks": json.dumps([rle.encode(mask)]),
  }
