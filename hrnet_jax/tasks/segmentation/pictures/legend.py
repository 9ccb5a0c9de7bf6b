"""Legends of label maps: maps `(H, W)` -> a list of colours, names and shares `(h, w, 3)` uint8."""

from collections.abc import Mapping, Sequence
import math

import numpy as np
from PIL import Image, ImageDraw

from hrnet_jax.visualize import text
from hrnet_jax.visualize.labels import known
from hrnet_jax.visualize.palette import HATCH, INK, MUTED, PAPER, Color, Palette


def legend(
  labels: Mapping[str, np.ndarray], palette: Palette, class_names: Sequence[str], *, width: int
) -> np.ndarray:
  """Lists the classes that occur, largest first: colour, name and share of the pixels.

  Args:
    labels: name -> `(H, W)` class ids; the shares of several maps stand side by side.
    palette: one RGB colour per class.
    class_names: one name per class.
    width: width to fill in pixels; the text grows with it.

  Returns:
    `(h, w, 3)` uint8 RGB, at least `width` wide.

  Raises:
    ValueError: names and colours differ in number.
  """
  if len(class_names) != len(palette):
    raise ValueError(f"{len(class_names)} class names but {len(palette)} colours")
  rows = entries(list(labels.values()), palette, class_names)
  size = text.size_for(width)
  font, pad, line = text.font(size), size, round(1.7 * size)
  name_width = max((font.getlength(name) for name, _, _ in rows), default=0)
  share_width = max((font.getlength(share) for _, _, share in rows), default=0)
  cell = math.ceil(2.4 * size + name_width + share_width + 1.5 * size)
  columns = max(1, min(len(rows), (width - 2 * pad) // cell))
  depth = math.ceil(len(rows) / columns)
  head = line if len(labels) > 1 else 0
  canvas = Image.new("RGB", (max(width, cell + 2 * pad), head + depth * line + 2 * pad), PAPER)
  draw = ImageDraw.Draw(canvas)
  if head:
    draw.text((pad, pad), f"share of the pixels: {' / '.join(labels)}", MUTED, font)
  for i, (name, color, share) in enumerate(rows):
    x, y = pad + i // depth * cell, pad + head + i % depth * line
    swatch(draw, (x, y, x + round(1.5 * size), y + size), color)
    text_y = y + size / 2
    draw.text((x + 2.2 * size, text_y), name, INK, font, anchor="lm")
    end = x + 2.4 * size + name_width + size / 2 + share_width
    draw.text((end, text_y), share, MUTED, font, anchor="rm")
  return np.asarray(canvas)


def entries(
  labels: Sequence[np.ndarray], palette: Palette, class_names: Sequence[str]
) -> list[tuple[str, Color | None, str]]:
  """(name, colour, shares) of the classes that occur in any map, then of the ignored pixels."""
  count = len(palette)
  ids = [np.where(known(label, count), label, count).ravel() for label in labels]
  shares = np.stack([np.bincount(x, minlength=count + 1) / x.size for x in ids], axis=1)
  order = sorted(range(count), key=lambda k: (-shares[k, 0], -shares[k, -1], k))
  names, colors = [*class_names, "ignored"], [*palette, None]
  return [
    (names[k], colors[k], " / ".join(f"{100 * s:.1f}" for s in shares[k]) + " %")
    for k in [*order, count]
    if shares[k].any()
  ]


def swatch(draw: ImageDraw.ImageDraw, box: tuple[int, int, int, int], color: Color | None) -> None:
  """Draws a rectangle (left, top, right, bottom) in the colour; grey stripes for no colour."""
  draw.rounded_rectangle(box, radius=3, fill=HATCH[0] if color is None else tuple(map(int, color)))
  if color is None:
    left, top, right, bottom = box
    for x in range(left + 4, right - 2, 6):
      draw.line((x, bottom - 1, x + 3, top + 1), fill=HATCH[1], width=2)
