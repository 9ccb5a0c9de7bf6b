"""A folder in COCO's format, small enough to know by heart."""

import json
import pathlib
from typing import Any

import numpy as np

from hrnet_jax.data import images

CATEGORIES = [{"id": 7, "name": "cat"}, {"id": 3, "name": "dog"}, {"id": 90, "name": "mug"}]
RUNS = [40 * 5 + 2, 10, 40 * 43 + 28]  # ten pixels of the sixth column of a 40 x 49 image


def content() -> dict[str, Any]:
  """Four images: with everything, empty, too small, and with a crowd alone."""
  return {
    "images": [
      {"id": 30, "file_name": "c.jpg", "height": 40, "width": 49},
      {"id": 10, "file_name": "a.jpg", "height": 48, "width": 32},
      {"id": 20, "file_name": "b.png", "height": 20, "width": 64},
      {"id": 40, "file_name": "d.jpg", "height": 40, "width": 40},
    ],
    "categories": [dict(category) for category in CATEGORIES],
    "annotations": [
      row(5, 30, 90, [4.25, 2, 20.5, 10], area=150.5, segmentation=[[4, 2, 24, 2, 24, 12, 4, 12]]),
      row(6, 30, 3, [5, 2, 1, 10], area=10, segmentation={"size": [40, 49], "counts": RUNS}),
      row(9, 30, 3, [0, 0, 49, 40], area=300, iscrowd=1,
          segmentation={"size": [40, 49], "counts": RUNS}),
      row(11, 30, 7, [3, 3, 0.5, 9], area=5, segmentation=[[3, 3, 3.5, 3, 3.5, 12, 3, 12]]),
      row(2, 20, 7, [1, 1, 10, 10], area=100, segmentation=[[1, 1, 11, 1, 11, 11, 1, 11]]),
      row(1, 40, 7, [1, 1, 10, 10], area=90, iscrowd=1, segmentation=[]),
    ],
  }  # fmt: skip


def row(number: int, image_id: int, category: int, bbox: list[float], **rest: Any) -> dict:
  """An annotation."""
  return {"id": number, "image_id": image_id, "category_id": category, "bbox": bbox} | rest


def write(folder: pathlib.Path, files: dict[str, dict[str, Any]] | None = None) -> pathlib.Path:
  """Writes annotations and random images; returns the folder."""
  (folder / "annotations").mkdir(parents=True, exist_ok=True)
  for split, values in (files or {"train": content(), "val": content()}).items():
    (folder / "annotations" / f"instances_{split}.json").write_text(json.dumps(values))
    (folder / split).mkdir(exist_ok=True)
    for image in values["images"]:
      rng = np.random.default_rng(image["id"])
      pixels = rng.integers(0, 256, (image["height"], image["width"], 3)).astype(np.uint8)
      path = folder / split / image["file_name"]
      encode = images.encode_png if path.suffix == ".png" else lambda x: images.encode_jpeg(x, 90)
      path.write_bytes(encode(pixels))
  return folder
