"""Pictures of label maps, for people: overlays, legends, comparisons and contact sheets.

Shapes: image `(H, W, 3)` uint8 RGB, label `(H, W)` integers -> picture `(H', W', 3)` uint8 RGB.
"""

from collections.abc import Sequence
import math
import pathlib

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

Color = tuple[int, int, int]
Palette = Sequence[Color]

PAPER: Color = (255, 255, 255)
INK: Color = (31, 35, 40)
MUTED: Color = (101, 109, 118)
WRONG: Color = (227, 26, 28)
HATCH: tuple[Color, Color] = (92, 97, 103), (58, 62, 67)


def distinct_palette(n: int) -> tuple[Color, ...]:
  """Makes `n` colours that are far apart to the eye; a longer palette begins with the shorter one.

  Colours are taken one by one from an RGB grid without its dull and its glaring ones, each the
  farthest in CIE Lab from those before it and from black and white (ignored pixels and paper).

  Raises:
    ValueError: `n` is negative or larger than the grid.
  """
  levels = np.linspace(0, 255, 18).round()
  grid = np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), axis=-1).reshape(-1, 3)
  lab = _to_lab(grid)
  lightness, chroma = lab[:, 0], np.hypot(lab[:, 1], lab[:, 2])
  pleasant = (lightness > 35) & (lightness < 88) & (chroma > 28) & (chroma < 82)
  grid, lab = grid[pleasant], lab[pleasant]
  if not 0 <= n <= len(grid):
    raise ValueError(f"a palette of {n} colours was asked for; 0 to {len(grid)} can be made")
  distance = np.full(len(grid), np.inf)
  last = _to_lab(np.array([[0, 0, 0], [255, 255, 255], [31, 119, 180]]))
  chosen = []
  for _ in range(n):
    distance = np.minimum(distance, np.linalg.norm(lab[:, None] - last, axis=-1).min(axis=1))
    best = int(distance.argmax())
    chosen.append(tuple(int(v) for v in grid[best]))
    last = lab[best : best + 1]
  return tuple(chosen)


def colorize(label: np.ndarray, palette: Palette) -> np.ndarray:
  """Paints every pixel in the colour of its class; ids outside the palette (ignored) are black.

  Args:
    label: `(H, W)` class ids of any integer dtype.
    palette: one RGB colour per class.

  Returns:
    `(H, W, 3)` uint8 RGB.
  """
  table = np.zeros((len(palette) + 1, 3), np.uint8)
  table[:-1] = np.asarray(palette, np.uint8).reshape(-1, 3)
  known = _known(label, len(palette))
  return table[np.where(known, label, len(palette))]


def boundaries(label: np.ndarray) -> np.ndarray:
  """Marks the pixels whose right or lower neighbour has another id: `(H, W)` bool."""
  edge = np.zeros(label.shape, bool)
  edge[:, :-1] |= label[:, :-1] != label[:, 1:]
  edge[:-1] |= label[:-1] != label[1:]
  return edge


def overlay(
  image: np.ndarray, label: np.ndarray, palette: Palette, *, alpha: float = 0.55, lines: bool = True
) -> np.ndarray:
  """Lays the classes over the photo in translucent colour, with white lines between classes.

  Args:
    image: `(H, W, 3)` uint8 RGB.
    label: `(H, W)` class ids; under ids outside the palette (ignored) the photo stays as it is.
    palette: one RGB colour per class.
    alpha: share of the colour, 0 (photo alone) to 1 (colour alone).
    lines: whether the boundaries between classes are drawn.

  Raises:
    ValueError: the sizes differ or `alpha` is not a share.
  """
  _check_same_size(image, label)
  if not 0 <= alpha <= 1:
    raise ValueError(f"alpha is a share between 0 and 1, got {alpha}")
  weight = np.where(_known(label, len(palette)), alpha, 0.0)
  out = _blend(image, colorize(label, palette), weight)
  return _blend(out, PAPER, 0.9 * _lines(label)) if lines else out


def hatch(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
  """Covers the pixels of `mask` `(H, W)` with grey diagonal stripes, the sign for "not counted"."""
  height, width = mask.shape
  period = max(4, max(height, width) // 60)
  stripe = (np.arange(height)[:, None] + np.arange(width)) // (period // 2) % 2
  return np.where(mask[..., None], np.asarray(HATCH, np.uint8)[stripe], image)


def errors(
  image: np.ndarray, prediction: np.ndarray, truth: np.ndarray, num_classes: int
) -> np.ndarray:
  """Shows wrong pixels in red over a faded photo; pixels without a true class are hatched.

  Args:
    image: `(H, W, 3)` uint8 RGB.
    prediction: `(H, W)` class ids.
    truth: `(H, W)` class ids; ids that are not below `num_classes` are not counted.
    num_classes: number of classes.
  """
  counted = _known(truth, num_classes)
  gray = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
  faded = _blend(gray, PAPER, np.full(truth.shape, 0.45))
  wrong = counted & (prediction != truth)
  return hatch(_blend(faded, WRONG, np.where(wrong, 0.85, 0.0)), ~counted)


def legend(
  label: np.ndarray,
  palette: Palette,
  class_names: Sequence[str],
  *,
  width: int,
  truth: np.ndarray | None = None,
) -> np.ndarray:
  """Lists the classes that occur, largest first: colour, name and share of the pixels.

  Args:
    label: `(H, W)` class ids.
    palette: one RGB colour per class.
    class_names: one name per class.
    width: width to fill in pixels; the text grows with it.
    truth: `(H, W)` class ids; their shares are written beside the others.

  Returns:
    `(h, w, 3)` uint8 RGB, at least `width` wide.

  Raises:
    ValueError: names and colours differ in number.
  """
  if len(class_names) != len(palette):
    raise ValueError(f"{len(class_names)} class names but {len(palette)} colours")
  entries = _entries([label] if truth is None else [label, truth], palette, class_names)
  size = _text_size(width)
  name_font, pad = ImageFont.load_default(size), size
  name_width = max((name_font.getlength(name) for name, _, _ in entries), default=0)
  share_width = max((name_font.getlength(share) for _, _, share in entries), default=0)
  cell = math.ceil(2.4 * size + name_width + share_width + 1.5 * size)
  columns = max(1, min(len(entries), (width - 2 * pad) // cell))
  rows, line = math.ceil(len(entries) / columns), round(1.7 * size)
  head = 0 if truth is None else line
  canvas = Image.new("RGB", (max(width, cell + 2 * pad), head + rows * line + 2 * pad), PAPER)
  draw = ImageDraw.Draw(canvas)
  if truth is not None:
    draw.text((pad, pad), "share of the pixels: predicted / true", MUTED, name_font)
  for i, (name, color, share) in enumerate(entries):
    x, y = pad + i // rows * cell, pad + head + i % rows * line
    _swatch(draw, (x, y, x + round(1.5 * size), y + size), color)
    text_y = y + size / 2
    draw.text((x + 2.2 * size, text_y), name, INK, name_font, anchor="lm")
    end = x + 2.4 * size + name_width + size / 2 + share_width
    draw.text((end, text_y), share, MUTED, name_font, anchor="rm")
  return np.asarray(canvas)


def labelled(
  image: np.ndarray,
  label: np.ndarray,
  palette: Palette,
  class_names: Sequence[str],
  *,
  max_side: int = 4096,
) -> np.ndarray:
  """The overlay with its legend below, at a size that is good to look at; see `fit`."""
  image, label = fit(image, high=max_side), fit(label, high=max_side)
  picture = overlay(image, label, palette)
  return _below(picture, legend(label, palette, class_names, width=picture.shape[1]))


def segmentation_panel(
  image: np.ndarray,
  prediction: np.ndarray,
  truth: np.ndarray,
  palette: Palette,
  class_names: Sequence[str],
  *,
  max_side: int = 1024,
) -> np.ndarray:
  """Puts image, prediction, truth and errors side by side, with titles and a legend.

  Args:
    image: `(H, W, 3)` uint8 RGB.
    prediction: `(H, W)` class ids.
    truth: `(H, W)` class ids; ids outside the palette (ignored) are hatched and not counted.
    palette: one RGB colour per class.
    class_names: one name per class.
    max_side: larger images are shown reduced to this long side.

  Returns:
    `(h, w, 3)` uint8 RGB: four tiles in a row, or two by two when the image is wide.
  """
  _check_same_size(image, prediction)
  _check_same_size(image, truth)
  counted = _known(truth, len(palette))
  right = ((prediction == truth) & counted).sum() / max(1, counted.sum())
  small = [fit(x, high=max_side) for x in (image, prediction, truth)]
  image_, prediction_, truth_ = small
  tiles = {
    "image": image_,
    "prediction": overlay(image_, prediction_, palette, alpha=0.8),
    "truth": hatch(overlay(image_, truth_, palette, alpha=0.8), ~_known(truth_, len(palette))),
    f"errors: {100 * right:.1f} % of the pixels are right": errors(
      image_, prediction_, truth_, len(palette)
    ),
  }
  wide = image.shape[1] > 1.2 * image.shape[0]
  sheet = contact_sheet(list(tiles.values()), titles=list(tiles), columns=2 if wide else 4)
  return _below(sheet, legend(prediction, palette, class_names, width=sheet.shape[1], truth=truth))


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
  size = _text_size(width * columns)
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


def write_png(path: str | pathlib.Path, image: np.ndarray) -> None:
  """Writes an image `(H, W, 3)` uint8 RGB or a label map `(H, W)` uint8 as PNG.

  Raises:
    ValueError: another shape or dtype.
    OSError: the file cannot be written.
  """
  if image.dtype != np.uint8 or not (image.ndim == 2 or image.shape[2:] == (3,)):
    raise ValueError(f"{path}: expected (H, W) or (H, W, 3) uint8, got {image.shape} {image.dtype}")
  Image.fromarray(image).save(path, format="PNG")


def _known(label: np.ndarray, num_classes: int) -> np.ndarray:
  return (label >= 0) & (label < num_classes)


def _check_same_size(image: np.ndarray, label: np.ndarray) -> None:
  if image.shape[:2] != label.shape:
    raise ValueError(f"image of size {image.shape[:2]} but label map of size {label.shape}")


def _to_lab(colors: np.ndarray) -> np.ndarray:
  return cv2.cvtColor((colors[None] / 255).astype(np.float32), cv2.COLOR_RGB2LAB)[0]


def _blend(base: np.ndarray, top: np.ndarray | Color, weight: np.ndarray) -> np.ndarray:
  """`(1 - weight) base + weight top`, rounded; `weight` is `(H, W)`."""
  weight = weight[..., None].astype(np.float32)
  return np.rint(base + weight * (np.asarray(top, np.float32) - base)).astype(np.uint8)


def _lines(label: np.ndarray) -> np.ndarray:
  """Boundaries as soft weights `(H, W)`, thicker in larger images."""
  thick = max(1, round(max(label.shape) / 900))
  edge = boundaries(label).astype(np.float32)
  if thick > 1:
    edge = cv2.dilate(edge, np.ones((thick, thick), np.uint8))
  return cv2.GaussianBlur(edge, (3, 3), 0.5)


def _text_size(width: int) -> int:
  """Font size in pixels for a picture of this width."""
  return max(13, round(width / 75))


def _entries(
  labels: Sequence[np.ndarray], palette: Palette, class_names: Sequence[str]
) -> list[tuple[str, Color | None, str]]:
  """(name, colour, share) of the classes that occur in any map, then of the ignored pixels."""
  count = len(palette)
  ids = [np.where(_known(label, count), label, count).ravel() for label in labels]
  shares = np.stack([np.bincount(x, minlength=count + 1) / x.size for x in ids], axis=1)
  order = sorted(range(count), key=lambda k: (-shares[k, 0], -shares[k, -1], k))
  names, colors = [*class_names, "ignored"], [*palette, None]
  return [
    (names[k], colors[k], " / ".join(f"{100 * s:.1f}" for s in shares[k]) + " %")
    for k in [*order, count]
    if shares[k].any()
  ]


def _swatch(draw: ImageDraw.ImageDraw, box: tuple[int, int, int, int], color: Color | None) -> None:
  """A filled rectangle in the colour; grey stripes for no colour."""
  draw.rounded_rectangle(box, radius=3, fill=HATCH[0] if color is None else tuple(map(int, color)))
  if color is None:
    left, top, right, bottom = box
    for x in range(left + 4, right - 2, 6):
      draw.line((x, bottom - 1, x + 3, top + 1), fill=HATCH[1], width=2)


def _write_titles(sheet, corners, titles, size, head, width) -> np.ndarray:
  canvas = Image.fromarray(sheet)
  draw = ImageDraw.Draw(canvas)
  font = ImageFont.load_default(size)
  for (y, x), title in zip(corners, titles, strict=True):
    while title and font.getlength(title) > width:
      title = title[:-2].rstrip() + "…" if len(title) > 2 else ""
    draw.text((x, y + head / 2), title, INK, font, anchor="lm")
  return np.asarray(canvas)


def _below(top: np.ndarray, bottom: np.ndarray) -> np.ndarray:
  """Stacks two pictures, the narrower one filled with paper on its right."""
  width = max(top.shape[1], bottom.shape[1])
  parts = []
  for part in (top, bottom):
    fill = np.full((part.shape[0], width - part.shape[1], 3), PAPER, np.uint8)
    parts.append(np.concatenate([part, fill], axis=1))
  return np.concatenate(parts)
