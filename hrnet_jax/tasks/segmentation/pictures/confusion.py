"""Confusion matrices as pictures: counts `(K, K)` -> `(h, w, 3)` uint8 RGB."""

from collections.abc import Sequence
import math

import numpy as np
from PIL import Image, ImageDraw

from hrnet_jax.visualize import text
from hrnet_jax.visualize.palette import FAINT, INK, MUTED, PAPER, Color

# Paper to dark: what is right in blue, what is wrong in orange.
_BLUES = ((255, 255, 255), (198, 219, 239), (66, 146, 198), (8, 48, 107))
_ORANGES = ((255, 255, 255), (253, 208, 162), (241, 105, 19), (140, 45, 4))
_TICKS = (0, 1, 5, 10, 25, 50, 100)
_SIDE = 1200  # pixels that the cells of a usual matrix fill
_PAD = 24
_CAPTION = "Each row is a true class; its cells say what share of it was predicted as what, in %."


def confusion_matrix(
  matrix: np.ndarray, class_names: Sequence[str], *, title: str = "Confusion matrix"
) -> np.ndarray:
  """Draws the share of every true class (row) that is predicted as each class (column).

  The diagonal is blue, confusions are orange, both on a scale of square roots, so that one per
  cent is seen. Cells hold numbers, and every class has its name, where there is room. The largest
  confusions are listed beside the matrix. Rows of classes that never occur are grey.

  Args:
    matrix: `(K, K)` counts, true classes in rows.
    class_names: one name per class.
    title: the first line.

  Raises:
    ValueError: the matrix is not square, has entries that are not counts, or the names do not
      match it.
  """
  matrix = _checked(matrix, class_names)
  shares = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
  count = len(matrix)
  cell = min(64, max(12, _SIDE // count)) if count <= 200 else max(1, 2 * _SIDE // count)
  side, size = count * cell + 1, min(16, max(10, cell - 2))
  names = [text.shorten(name, size, 14 * size) for name in class_names]
  room = math.ceil(max(text.font(size).getlength(name) for name in names)) + 8
  left, top = _PAD + 26 + room, _PAD + 78 + room
  beside = _beside(matrix, class_names, side)
  lines = [(title, 22, INK), (_CAPTION, 14, MUTED)]
  width = max(left + side + 2 * _PAD + beside.width, 560)
  canvas = Image.new("RGB", (width, top + side + _PAD), PAPER)
  canvas.paste(Image.fromarray(_cells(shares, matrix.sum(1) > 0, cell)), (left, top))
  canvas.paste(beside, (left + side + _PAD, top))
  _write_numbers(canvas, shares, cell, (left, top))
  _write_names(canvas, names, cell, size, (left, top))
  _write_axes(canvas, (left, top), side, room)
  for y, (words, points, ink) in zip((_PAD - 6, _PAD + 26), lines, strict=True):
    words = text.shorten(words, points, width - 2 * _PAD)
    ImageDraw.Draw(canvas).text((_PAD, y), words, ink, text.font(points))
  return np.asarray(canvas)


def largest_confusions(matrix: np.ndarray, number: int) -> list[tuple[int, int, float]]:
  """The cells off the diagonal with most of the errors.

  Args:
    matrix: `(K, K)` counts, true classes in rows.
    number: how many at most.

  Returns:
    (true class, predicted class, share of all errors), largest first; none without errors.
  """
  wrong = np.asarray(matrix, np.float64) * (1 - np.eye(len(matrix)))
  order = np.argsort(-wrong, axis=None, kind="stable")[:number]
  cells = [divmod(int(i), len(matrix)) for i in order]
  return [(i, j, float(wrong[i, j] / wrong.sum())) for i, j in cells if wrong[i, j] > 0]


def _checked(matrix: np.ndarray, class_names: Sequence[str]) -> np.ndarray:
  matrix = np.asarray(matrix, np.float64)
  if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or not matrix.size:
    raise ValueError(f"a confusion matrix has the shape (K, K), got {matrix.shape}")
  if len(class_names) != len(matrix):
    raise ValueError(f"{len(class_names)} class names for a matrix of {len(matrix)} classes")
  bad = np.argwhere(~(np.isfinite(matrix) & (matrix >= 0)))
  if len(bad):
    row, column = bad[0]
    raise ValueError(f"row {row}, column {column} is {matrix[row, column]}, expected a count")
  return matrix


def _colours(shares: np.ndarray, stops: Sequence[Color]) -> np.ndarray:
  """Shares in [0, 1] -> uint8 RGB on a scale of square roots."""
  places = np.linspace(0, 1, len(stops))
  ramps = [np.interp(np.sqrt(shares), places, channel) for channel in zip(*stops, strict=True)]
  return np.rint(np.stack(ramps, axis=-1)).astype(np.uint8)


def _cells(shares: np.ndarray, occurs: np.ndarray, cell: int) -> np.ndarray:
  """Squares `cell` pixels wide; lines between them where they leave room for colour."""
  diagonal = np.eye(len(shares), dtype=bool)[..., None]
  colours = np.where(diagonal, _colours(shares, _BLUES), _colours(shares, _ORANGES))
  colours[~occurs] = FAINT
  picture = np.pad(colours.repeat(cell, 0).repeat(cell, 1), ((0, 1), (0, 1), (0, 0)))
  if cell >= 6:
    picture[::cell] = picture[:, ::cell] = FAINT
  picture[[0, -1]] = picture[:, [0, -1]] = MUTED
  return picture


def _write_numbers(
  canvas: Image.Image, shares: np.ndarray, cell: int, corner: tuple[int, int]
) -> None:
  """Per cents in the cells; those that round to 0 stay empty."""
  if cell < 24:
    return
  pen, font = ImageDraw.Draw(canvas), text.font(min(15, (cell - 4) // 2))
  for row, column in np.argwhere(shares >= 0.005):
    x, y = (corner[axis] + place * cell + cell / 2 for axis, place in enumerate((column, row)))
    dark = shares[row, column] > (0.2 if row == column else 0.35)
    ink = PAPER if dark else INK
    pen.text((x, y), f"{100 * shares[row, column]:.0f}", ink, font, anchor="mm")


def _write_names(
  canvas: Image.Image, names: Sequence[str], cell: int, size: int, corner: tuple[int, int]
) -> None:
  """Names of rows on the left, of columns above, upright; of every n-th class where it is tight."""
  pen, font = ImageDraw.Draw(canvas), text.font(size)
  left, top = corner
  for i in range(0, len(names), math.ceil((size + 2) / cell)):
    middle = round((i + 0.5) * cell)
    pen.text((left - 6, top + middle), names[i], INK, font, anchor="rm")
    _write_upright(canvas, names[i], size, INK, (left + middle, top - 6))


def _write_axes(canvas: Image.Image, corner: tuple[int, int], side: int, room: int) -> None:
  left, top = corner
  pen = ImageDraw.Draw(canvas)
  pen.text((left, top - room - 14), "predicted class", MUTED, text.font(14), anchor="lm")
  length = math.ceil(text.font(14).getlength("true class"))
  _write_upright(canvas, "true class", 14, MUTED, (left - room - 14, top + length))


def _write_upright(
  canvas: Image.Image, words: str, size: int, colour: Color, foot: tuple[int, int]
) -> None:
  """Writes from `foot` upwards."""
  font = text.font(size)
  length, height = math.ceil(font.getlength(words)), round(1.4 * size)
  mask = Image.new("L", (max(1, length), height))
  ImageDraw.Draw(mask).text((0, height / 2), words, 255, font, anchor="lm")
  mask = mask.rotate(90, expand=True)
  canvas.paste(colour, (foot[0] - mask.width // 2, foot[1] - mask.height), mask)


def _beside(matrix: np.ndarray, class_names: Sequence[str], side: int) -> Image.Image:
  """The two colour scales, and the largest confusions below them as far as they fit."""
  size, line, high = 14, 22, min(side - 30, 300)
  worst = largest_confusions(matrix, max(0, min(20, (side - high - 110) // line)))
  rows = [
    (f"{text.shorten(class_names[i], size, 150)} as {text.shorten(class_names[j], size, 150)}", s)
    for i, j, s in worst
  ]
  font = text.font(size)
  room = max((math.ceil(font.getlength(words)) for words, _ in rows), default=0)
  canvas = Image.new("RGB", (max(260, room + 80), side), PAPER)
  pen = ImageDraw.Draw(canvas)
  _draw_scales(canvas, high)
  if rows:
    pen.text((0, high + 56), "largest confusions, share of the errors", MUTED, font)
  for i, (words, share) in enumerate(rows):
    y = high + 90 + i * line
    pen.text((0, y), words, INK, font, anchor="lm")
    pen.text((room + 70, y), f"{100 * share:.1f} %", MUTED, font, anchor="rm")
  return canvas


def _draw_scales(canvas: Image.Image, high: int) -> None:
  pen, font = ImageDraw.Draw(canvas), text.font(13)
  shares = np.linspace(1, 0, max(2, high)) ** 2
  for i, (stops, word) in enumerate(((_BLUES, "right"), (_ORANGES, "wrong"))):
    strip = _colours(shares, stops)[:, None].repeat(28, 1)
    strip[[0, -1]] = strip[:, [0, -1]] = MUTED
    canvas.paste(Image.fromarray(strip), (i * 44, 22))
    pen.text((i * 44 + 14, 10), word, MUTED, font, anchor="mm")
  for tick in _TICKS if high > 200 else (0, 10, 50, 100):
    y = 22 + (1 - math.sqrt(tick / 100)) * (len(shares) - 1)
    pen.line((73, y, 78, y), fill=MUTED)
    pen.text((83, y), f"{tick} %", MUTED, font, anchor="lm")
