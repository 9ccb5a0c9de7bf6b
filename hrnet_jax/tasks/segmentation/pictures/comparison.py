"""Two checkpoints compared: labels `(H, W)` or scores `(K,)` of both -> `(h, w, 3)` uint8 RGB."""

from collections.abc import Sequence
import math

import numpy as np
from PIL import Image, ImageDraw

from hrnet_jax.tasks.segmentation.pictures.legend import legend, swatch
from hrnet_jax.tasks.segmentation.pictures.panel import painted_truth
from hrnet_jax.visualize import text
from hrnet_jax.visualize.labels import blend, check_same_size, faded, hatch, known, overlay
from hrnet_jax.visualize.palette import (
  FIRST,
  INK,
  MUTED,
  PAPER,
  RIGHT,
  SECOND,
  WRONG,
  Color,
  Palette,
)
from hrnet_jax.visualize.sheet import contact_sheet, fit, stack

BOTH_WRONG: Color = (106, 27, 97)
_PALE: Color = (236, 239, 242)  # stands for the faded photo in the key
_ROWS = 40  # bars below each other; more classes go into further columns


def comparison_panel(
  image: np.ndarray,
  truth: np.ndarray,
  first: np.ndarray,
  second: np.ndarray,
  palette: Palette,
  class_names: Sequence[str],
  *,
  names: tuple[str, str] = ("A", "B"),
  max_side: int = 768,
) -> np.ndarray:
  """Shows image, truth, two predictions, and where only one of them or neither is right.

  Args:
    image: `(H, W, 3)` uint8 RGB.
    truth: `(H, W)` class ids; ids outside the palette (ignored) are hatched and not counted.
    first: `(H, W)` class ids of the first checkpoint.
    second: `(H, W)` class ids of the second one.
    palette: one RGB colour per class.
    class_names: one name per class.
    names: of the checkpoints.
    max_side: larger images are shown reduced to this long side.

  Returns:
    `(h, w, 3)` uint8 RGB: two rows of three tiles, the last one the key of the map of agreement,
    and a legend of the classes.

  Raises:
    ValueError: a label map of another size than the image, or two names that are the same.
  """
  if len({*names, "true"}) < 3:
    raise ValueError(f"two checkpoints need names of their own, got {names[0]!r} and {names[1]!r}")
  for label in (truth, first, second):
    check_same_size(image, label)
  shares = agreement(truth, first, second, len(palette))
  small = [fit(x, high=max_side) for x in (image, truth, first, second)]
  tiles = [
    small[0],
    overlay(small[0], small[2], palette, alpha=0.8),
    overlay(small[0], small[3], palette, alpha=0.8),
    painted_truth(small[0], small[1], palette),
    agreement_map(*small, len(palette)),
    _key(shares, names, small[0].shape[:2]),
  ]
  titles = ["image", *names, "truth", "who is right", "share of the pixels"]
  sheet = contact_sheet(tiles, titles=titles, columns=3)
  maps = {names[0]: first, names[1]: second, "true": truth}
  return stack([sheet, legend(maps, palette, class_names, width=sheet.shape[1])])


def agreement(
  truth: np.ndarray, first: np.ndarray, second: np.ndarray, num_classes: int
) -> dict[str, float]:
  """Shares of the pixels that have a true class, by who is right there.

  Args:
    truth: `(H, W)` class ids; ids that are not below `num_classes` are not counted.
    first: `(H, W)` class ids.
    second: `(H, W)` class ids.
    num_classes: number of classes.

  Returns:
    `both`, `first`, `second`, `neither`, which add up to 1, or are 0 where nothing counts.
  """
  masks = _masks(truth, first, second, num_classes)
  counted = max(1, int(known(truth, num_classes).sum()))
  return {name: float(mask.sum() / counted) for name, mask in masks.items()}


def agreement_map(
  image: np.ndarray, truth: np.ndarray, first: np.ndarray, second: np.ndarray, num_classes: int
) -> np.ndarray:
  """Blue where only the first is right, orange the second, purple neither, over a faded photo.

  Args:
    image: `(H, W, 3)` uint8 RGB.
    truth: `(H, W)` class ids; where they are not below `num_classes` the photo is hatched.
    first: `(H, W)` class ids.
    second: `(H, W)` class ids.
    num_classes: number of classes.
  """
  masks = _masks(truth, first, second, num_classes)
  out = faded(image)
  for name, colour in (("first", FIRST), ("second", SECOND), ("neither", BOTH_WRONG)):
    out = blend(out, colour, np.where(masks[name], 0.85, 0.0))
  return hatch(out, ~known(truth, num_classes))


def comparison_bars(
  first: Sequence[float],
  second: Sequence[float],
  class_names: Sequence[str],
  *,
  names: tuple[str, str] = ("A", "B"),
  title: str = "IoU of each class, in %",
) -> np.ndarray:
  """Draws the score of every class as two bars, those first where the second gains most.

  The means above are of the classes that both have a score for.

  Args:
    first: `(K,)` scores in [0, 1] of the first checkpoint; not finite where there is none.
    second: `(K,)` scores of the second one.
    class_names: one name per class.
    names: of the checkpoints.
    title: the first line.

  Returns:
    `(h, w, 3)` uint8 RGB; more than 40 classes stand in several columns.

  Raises:
    ValueError: scores and names differ in number, or a score is not in [0, 1].
  """
  scores = _checked_scores(first, second, class_names)
  gain = scores[1] - scores[0]
  order = np.argsort(np.where(np.isfinite(gain), -gain, np.inf), kind="stable")
  columns = max(1, math.ceil(len(order) / _ROWS))
  depth, line, head, pad = math.ceil(len(order) / columns), 34, 96, 24
  font = text.font(15)
  short = [text.shorten(name, 15, 200) for name in class_names]
  room = math.ceil(max((font.getlength(name) for name in short), default=0))
  cell = room + 460
  canvas = Image.new("RGB", (columns * cell + pad, head + depth * line + pad), PAPER)
  pen = ImageDraw.Draw(canvas)
  _bars_heading(pen, scores, names, title, canvas.width - 2 * pad)
  for i, k in enumerate(order):
    corner = (pad + i // depth * cell, head + i % depth * line)
    _bar_pair(pen, corner, short[k], scores[:, k], room)
  return np.asarray(canvas)


def _masks(
  truth: np.ndarray, first: np.ndarray, second: np.ndarray, num_classes: int
) -> dict[str, np.ndarray]:
  counted, a, b = known(truth, num_classes), first == truth, second == truth
  masks = {"both": a & b, "first": a & ~b, "second": ~a & b, "neither": ~a & ~b}
  return {name: mask & counted for name, mask in masks.items()}


def _key(shares: dict[str, float], names: tuple[str, str], size: tuple[int, int]) -> np.ndarray:
  """A tile that says what the colours of the map mean and how much of it has each."""
  height, width = size
  canvas = Image.new("RGB", (width, height), PAPER)
  draw = ImageDraw.Draw(canvas)
  letters = max(10, min(round(height / 12), round(width / 20)))
  rows = (
    ("both", "both right", _PALE),
    ("first", f"only {names[0]} right", FIRST),
    ("second", f"only {names[1]} right", SECOND),
    ("neither", "both wrong", BOTH_WRONG),
    (None, "not counted", None),
  )
  step, font = min(round(2 * letters), height // len(rows)), text.font(letters)
  for i, (name, words, colour) in enumerate(rows):
    y = i * step + (step - letters) // 2
    swatch(draw, (0, y, round(1.6 * letters), y + letters), colour)
    words = text.shorten(words, letters, width - 6.5 * letters)
    draw.text((2.3 * letters, y + letters / 2), words, INK, font, anchor="lm")
    share = "" if name is None else f"{100 * shares[name]:.1f} %"
    draw.text((width - 2, y + letters / 2), share, MUTED, font, anchor="rm")
  return np.asarray(canvas)


def _checked_scores(
  first: Sequence[float], second: Sequence[float], class_names: Sequence[str]
) -> np.ndarray:
  counts = len(first), len(second), len(class_names)
  if len(set(counts)) > 1:
    raise ValueError(f"{counts[0]} and {counts[1]} scores for {counts[2]} class names")
  scores = np.array([first, second], np.float64)
  for which, k in np.argwhere((scores < 0) | (scores > 1)):
    raise ValueError(f"score {scores[which, k]} of class {class_names[k]!r} is not in [0, 1]")
  return scores


def _bars_heading(
  pen: ImageDraw.ImageDraw, scores: np.ndarray, names: tuple[str, str], title: str, width: int
) -> None:
  pen.text((24, 16), text.shorten(title, 22, width), INK, text.font(22))
  x, y = 24, 58
  shared = scores[:, np.isfinite(scores).all(0)]  # the means are of the same classes
  for name, colour, row in zip(names, (FIRST, SECOND), shared, strict=True):
    mean = f"mean {100 * row.mean():.1f}" if len(row) else "no score"
    swatch(pen, (x, y, x + 20, y + 14), colour)
    words = text.shorten(f"{name}: {mean}", 15, width / 2 - 52)
    pen.text((x + 28, y + 7), words, MUTED, text.font(15), anchor="lm")
    x += 52 + math.ceil(text.font(15).getlength(words))


def _bar_pair(
  pen: ImageDraw.ImageDraw, corner: tuple[int, int], name: str, pair: np.ndarray, room: int
) -> None:
  """A row: name, two bars over a pale track of 100 %, both values, their difference."""
  x, y = corner
  start, length = x + room + 10, 240
  pen.text((x + room, y + 12), name, INK, text.font(15), anchor="rm")
  for i, (score, colour) in enumerate(zip(pair, (FIRST, SECOND), strict=True)):
    top = y + 2 + 11 * i
    pen.rectangle((start, top, start + length, top + 8), fill=_PALE)
    if np.isfinite(score) and score > 0:
      pen.rectangle((start, top, start + round(length * score), top + 8), fill=colour)
    value = f"{100 * score:.1f}" if np.isfinite(score) else "none"
    place = (start + length + 52 + 54 * i, y + 12)
    pen.text(place, value, colour, text.font(14), anchor="rm")
  gain = 100 * float(pair[1] - pair[0])
  if math.isfinite(gain):
    words, ink = f"{gain:+.1f}", RIGHT if gain > 0 else WRONG
    if abs(gain) < 0.05:
      words, ink = "0.0", MUTED
    pen.text((start + length + 172, y + 12), words, ink, text.font(14), anchor="rm")
