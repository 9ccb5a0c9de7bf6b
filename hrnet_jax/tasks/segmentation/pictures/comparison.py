"""Two checkpoints compared: labels `(H, W)` of both -> `(h, w, 3)` uint8 RGB."""

from collections.abc import Sequence

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
  SECOND,
  Color,
  Palette,
)
from hrnet_jax.visualize.sheet import contact_sheet, fit, stack

BOTH_WRONG: Color = (106, 27, 97)
_PALE: Color = (236, 239, 242)  # stands for the faded photo in the key


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
