"""Pictures put together, resized and written: pictures `(H, W, 3)` uint8 -> `(h, w, 3)` uint8."""

from collections.abc import Sequence
import io
import math
import pathlib

import cv2
import numpy as np
from PIL import Image, ImageDraw

from hrnet_jax.files import write_whole
from hrnet_jax.visualize import text
from hrnet_jax.visualize.palette import INK, MUTED, PAPER


def contact_sheet(
  images: Sequence[np.ndarray],
  *,
  titles: Sequence[str] | None = None,
  columns: int | None = None,
) -> np.ndarray:
  """Arranges pictures in a grid on white paper, row by row, with titles above them.

  Args:
    images: `(H, W, 3)` uint8 RGB each; sizes may differ, every cell has the largest.
    titles: one line per picture.
    columns: number of columns; by default the grid is about square.

  Raises:
    ValueError: no picture, or the titles do not match.
  """
  if not images:
    raise ValueError("a contact sheet needs at least one picture")
  if titles is not None and len(titles) != len(images):
    raise ValueError(f"{len(titles)} titles for {len(images)} pictures")
  columns = min(columns or math.ceil(math.sqrt(len(images))), len(images))
  height, width = (max(x.shape[axis] for x in images) for axis in (0, 1))
  size = text.size_for(width * columns)
  gap, head = size, 0 if titles is None else round(1.7 * size)
  rows = math.ceil(len(images) / columns)
  shape = (rows * (height + head + gap) + gap, columns * (width + gap) + gap, 3)
  sheet = np.full(shape, PAPER, np.uint8)
  corners = [
    (gap + i // columns * (height + head + gap), gap + i % columns * (width + gap))
    for i in range(len(images))
  ]
  for (y, x), image in zip(corners, images, strict=True):
    sheet[y + head : y + head + image.shape[0], x : x + image.shape[1]] = image
  return sheet if titles is None else _write_titles(sheet, corners, titles, size, head, width)


def as_rgb(image: np.ndarray) -> np.ndarray:
  """Shows an image `(H, W, C)`: one or two channels as grey, of more the first three."""
  if image.shape[2] == 3:
    return image
  if image.shape[2] > 3:
    return np.ascontiguousarray(image[..., :3])
  grey = np.rint(image.mean(2)).astype(np.uint8)
  return np.stack([grey] * 3, axis=2)


def fit(array: np.ndarray, *, low: int = 512, high: int | None = None) -> np.ndarray:
  """Brings an image `(H, W, 3)` or a label map `(H, W)` to a size that is good to look at.

  A long side below `low` is enlarged by the largest whole factor that stays within it, pixels
  staying square; one above `high` is reduced to it. Label maps are never interpolated.
  """
  height, width = array.shape[:2]
  side = max(height, width)
  if high is not None and side > high:
    size = (max(1, round(width * high / side)), max(1, round(height * high / side)))
    flags = cv2.INTER_NEAREST_EXACT if array.ndim == 2 else cv2.INTER_AREA
    return cv2.resize(array, size, interpolation=flags)
  factor = max(1, low // side)
  return array.repeat(factor, axis=0).repeat(factor, axis=1)


def stack(pictures: Sequence[np.ndarray]) -> np.ndarray:
  """Puts pictures below each other, the narrower ones filled with paper on their right."""
  width = max(x.shape[1] for x in pictures)
  paper = [np.full((x.shape[0], width - x.shape[1], 3), PAPER, np.uint8) for x in pictures]
  return np.concatenate([np.hstack(pair) for pair in zip(pictures, paper, strict=True)])


def heading(lines: Sequence[str], *, width: int, size: int | None = None) -> np.ndarray:
  """A line of text in ink and smaller muted ones below it, `width` wide or cut to it."""
  pad = text.size_for(width)  # the text begins where the pictures of a sheet do
  size = size or round(1.25 * pad)
  step = round(1.4 * size)
  canvas = Image.new("RGB", (width, len(lines) * step + pad // 2), PAPER)
  draw = ImageDraw.Draw(canvas)
  for i, line in enumerate(lines):
    points = size if i == 0 else max(12, round(0.8 * size))
    line = text.shorten(line, points, width - 2 * pad)
    draw.text((pad, pad // 2 + i * step), line, INK if i == 0 else MUTED, text.font(points))
  return np.asarray(canvas)


def write_png(path: str | pathlib.Path, image: np.ndarray) -> None:
  """Writes an image `(H, W, 3)` uint8 RGB or a label map `(H, W)` uint8 as PNG; in one step.

  Raises:
    ValueError: another shape or dtype.
    OSError: the file cannot be written.
  """
  if image.dtype != np.uint8 or not (image.ndim == 2 or image.shape[2:] == (3,)):
    raise ValueError(f"{path}: expected (H, W) or (H, W, 3) uint8, got {image.shape} {image.dtype}")
  save_png(path, Image.fromarray(image))


def save_png(path: str | pathlib.Path, image: Image.Image) -> None:
  """Writes an image of Pillow's, which may have a palette, as PNG; in one step."""
  encoded = io.BytesIO()
  image.save(encoded, format="PNG")
  write_whole(pathlib.Path(path), encoded.getvalue())


def _write_titles(sheet, corners, titles, size, head, width) -> np.ndarray:
  canvas = Image.fromarray(sheet)
  draw = ImageDraw.Draw(canvas)
  for (y, x), title in zip(corners, titles, strict=True):
    title = text.shorten(title, size, width)
    draw.text((x, y + head / 2), title, INK, text.font(size), anchor="lm")
  return np.asarray(canvas)
