"""Pictures of scored classes, for people: image `(H, W, 3)` uint8 -> picture `(h, w, 3)` uint8."""

from collections.abc import Sequence
import math

import numpy as np
from PIL import Image, ImageDraw

from hrnet_jax.visualize import text
from hrnet_jax.visualize.palette import INK, MUTED, PAPER, RIGHT, WRONG, Color
from hrnet_jax.visualize.sheet import fit

PLAIN: Color = (120, 144, 180)


def draw(
  image: np.ndarray,
  names: Sequence[str],
  scores: Sequence[float],
  *,
  truth: str | None = None,
  max_side: int = 512,
) -> np.ndarray:
  """Puts an image above a bar for each class.

  Args:
    image: `(H, W, 3)` uint8 RGB.
    names: classes, best first.
    scores: theirs, in [0, 1].
    truth: name of the true class. Its bar is green, and the best one's red if it is another; it
      is named below the bars in any case.
    max_side: larger images are shown reduced to this long side.
  """
  image = fit(image, low=256, high=max_side)
  size = max(13, round(image.shape[1] / 24))
  font, line, pad = text.font(size), round(1.7 * size), size // 2
  rows = [(name, f"{100 * score:.1f} %") for name, score in zip(names, scores, strict=True)]
  widest = max(font.getlength(name) for name, _ in rows)
  room = math.ceil(font.getlength("100.0 %")) + 2 * pad
  width = max(image.shape[1], math.ceil(widest) + room + pad)
  height = image.shape[0] + (len(rows) + (truth is not None)) * line + 2 * pad
  canvas = Image.new("RGB", (width, height), PAPER)
  canvas.paste(Image.fromarray(image), (0, 0))
  pen = ImageDraw.Draw(canvas)
  for i, ((name, percent), score) in enumerate(zip(rows, scores, strict=True)):
    y = image.shape[0] + pad + i * line
    length = round(score * (width - 2 * pad))
    colour = _bar_colour(name, i, truth)
    pen.rectangle((pad, y + line - size // 4 - 2, pad + length, y + line - 3), fill=colour)
    pen.text((pad, y + size / 2), name, INK if i == 0 else MUTED, font, anchor="lm")
    pen.text((width - pad, y + size / 2), percent, MUTED, font, anchor="rm")
  if truth is not None:
    right = bool(names) and names[0] == truth
    y = image.shape[0] + pad + len(rows) * line
    pen.text((pad, y + size / 2), f"true: {truth}", RIGHT if right else WRONG, font, anchor="lm")
  return np.asarray(canvas)


def _bar_colour(name: str, place: int, truth: str | None) -> Color:
  if name == truth:
    return RIGHT
  return WRONG if place == 0 and truth is not None else PLAIN
