"""Which images an exported network takes: canvases of one size, and the images' extents."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from hrnet_jax.export.program import Input, Sizes


def _extents(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
  """Sizes of images that fill at least half of each side."""
  return rng.integers(np.array(shape[1:3]) // 2, shape[1:3], (shape[0], 2)).astype(np.float32) + 1


EXTENT = Input(
  name="size",
  shape=(2,),
  text="height and width of each image without its padding, in pixels",
  draw=_extents,
)


def sizes(transform: Mapping[str, Any]) -> Sizes:
  """The images that an exported network takes; `transform` is `config.transform.eval`."""
  # Anchors and the number of candidates are made for one size.
  height, width = min((int(h), int(w)) for h, w in transform["canvas"])
  return Sizes(
    height=str(height),
    width=str(width),
    usual=(height, width),
    text=f"canvases of {height}x{width} with the image in the upper left, resized as in evaluation",
    inputs=(EXTENT,),
    judged="pyramid",
  )
