"""Counts in photos: `STEM_count.txt`."""

from collections.abc import Sequence
import pathlib
from typing import Any

import numpy as np
from PIL import Image

from disc_counting.discs import SIDE
from hrnet_jax.predict.predictor import Photo


class CountFile:
  """Reads grey photos, and writes a number for each."""

  def load(self, path: pathlib.Path, max_side: int) -> Photo:
    pixels = np.asarray(Image.open(path).convert("L").resize((SIDE, SIDE)))[..., None]
    return Photo(path, pixels, (pixels,))

  def save(self, photo: Photo, predictions: Sequence[Any], stem: pathlib.Path) -> None:
    pathlib.Path(f"{stem}_count.txt").write_text(f"{float(predictions[0]):.4f}\n")


def build(loaded: Any) -> CountFile:
  """The checkpoint has nothing to say."""
  del loaded
  return CountFile()
