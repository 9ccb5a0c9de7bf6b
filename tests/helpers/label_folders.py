"""Miniature folders of images and labels, as users have them."""

from collections.abc import Callable
import pathlib

import numpy as np
import pytest

from hrnet_jax.data import images


@pytest.fixture
def add_pair() -> Callable[..., None]:
  """Writes a random photo and a label with ids 0 to 2, of which `seed` decides the pixels."""

  def write(image: pathlib.Path, label: pathlib.Path, seed: int = 0, size=(12, 16)) -> None:
    rng = np.random.default_rng(seed)
    for path in (image, label):
      path.parent.mkdir(parents=True, exist_ok=True)
    photo = rng.integers(0, 256, (*size, 3)).astype(np.uint8)
    encoded = images.encode_png(photo)
    image.write_bytes(encoded if image.suffix == ".png" else images.encode_jpeg(photo, 90))
    label.write_bytes(images.encode_png(rng.integers(0, 3, size).astype(np.uint8)))

  return write


@pytest.fixture
def camvid_folder(tmp_path: pathlib.Path, add_pair: Callable[..., None]) -> pathlib.Path:
  """Four pairs `a` to `d` in `train`, two in `val`."""
  folder = tmp_path / "camvid_source"
  for split, names in (("train", "dbca"), ("val", "fe")):
    for name in names:
      label = folder / f"{split}annot" / f"{name}.png"
      add_pair(folder / split / f"{name}.jpg", label, ord(name))
  return folder
