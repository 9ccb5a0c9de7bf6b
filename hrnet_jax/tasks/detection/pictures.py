"""Objects in photos: image `(H, W, 3)` uint8 RGB, boxes `(N, 4)`, masks -> `(h, w, 3)` uint8 RGB.

Boxes are x0 y0 x1 y1 in pixels from the image's left and upper edge.
"""

from collections.abc import Sequence
import dataclasses

import cv2
import numpy as np
from PIL import Image, ImageDraw

from hrnet_jax.visualize import text
from hrnet_jax.visualize.labels import blend, boundaries
from hrnet_jax.visualize.palette import INK, PAPER, Color, Palette
from hrnet_jax.visualize.sheet import contact_sheet, fit, heading, stack

_SHIFT = 4  # OpenCV draws at 1/16 of a pixel
_COVER = 0.45  # share of a mask's colour


@dataclasses.dataclass(frozen=True)
class Objects:
  """N objects of an image.

  Attributes:
    boxes: `(N, 4)`.
    classes: `(N,)` from 0.
    scores: `(N,)`, or None where there are none, as of the truth.
    masks: N of `(H, W)`, not 0 where the object is; None if only boxes are known.
  """

  boxes: np.ndarray
  classes: np.ndarray
  scores: np.ndarray | None = None
  masks: Sequence[np.ndarray] | None = None

  def __post_init__(self):
    count = len(self.boxes)
    if np.shape(self.boxes) != (count, 4) or not np.isfinite(self.boxes).all():
      raise ValueError(f"boxes are finite (N, 4), got shape {np.shape(self.boxes)}")
    for name in ("classes", "scores", "masks"):
      value = getattr(self, name)
      if value is not None and len(value) != count:
        raise ValueError(f"{len(value)} {name} for {count} boxes")

  def chosen(self, rows: np.ndarray) -> "Objects":
    """Some of the objects, by positions or by a bool mask, in the order of the positions."""
    rows = np.arange(len(self.boxes))[rows]
    return Objects(
      self.boxes[rows],
      self.classes[rows],
      None if self.scores is None else self.scores[rows],
      None if self.masks is None else [self.masks[row] for row in rows],
    )


def draw_objects(
  image: np.ndarray, objects: Objects, palette: Palette, class_names: Sequence[str]
) -> np.ndarray:
  """Draws boxes, translucent masks, names and scores in the colours of the classes.

  Objects with higher scores lie above others, and names above all boxes.

  Args:
    image: `(H, W, 3)` uint8 RGB; it is not changed.
    objects: in the image.
    palette: one RGB colour per class.
    class_names: one name per class.

  Raises:
    ValueError: a mask is not of the image's size.
  """
  image = np.ascontiguousarray(image).copy()
  if objects.scores is not None:
    objects = objects.chosen(np.argsort(objects.scores, kind="stable"))
  colours = [tuple(int(v) for v in palette[int(k)]) for k in objects.classes]
  for mask, colour in zip(objects.masks or (), colours, strict=bool(objects.masks)):
    image = _paint(image, mask, colour)
  for box, colour in zip(objects.boxes, colours, strict=True):
    _frame(image, box, colour)
  words = [class_names[int(k)] for k in objects.classes]
  if objects.scores is not None:
    words = [f"{name} {score:.2f}" for name, score in zip(words, objects.scores, strict=True)]
  return _tags(image, objects.boxes, words, colours)


def detections_panel(
  image: np.ndarray,
  predicted: Objects,
  truth: Objects,
  palette: Palette,
  class_names: Sequence[str],
  *,
  title: str,
  threshold: float = 0.3,
  max_side: int = 1024,
) -> np.ndarray:
  """Puts predicted and true objects side by side.

  Args:
    image: `(H, W, 3)` uint8 RGB.
    predicted: in the image.
    truth: in the image.
    palette: one RGB colour per class.
    class_names: one name per class.
    title: the line above, such as the name of the photo.
    threshold: objects with lower scores are not drawn.
    max_side: larger images are shown reduced to this long side.

  Returns:
    `(h, w, 3)` uint8 RGB.
  """
  if predicted.scores is not None:
    predicted = predicted.chosen(predicted.scores >= threshold)
  small = fit(image, high=max_side)
  tiles = [
    draw_objects(small, _fitted(objects, image, small, max_side), palette, class_names)
    for objects in (predicted, truth)
  ]
  words = (f"predicted, score {threshold:.2f} and more", "truth")
  titles = [f"{x}: {len(y.boxes)}" for x, y in zip(words, (predicted, truth), strict=True)]
  sheet = contact_sheet(tiles, titles=titles, columns=2)
  return stack([heading([title], width=sheet.shape[1]), sheet])


def _fitted(objects: Objects, image: np.ndarray, small: np.ndarray, max_side: int) -> Objects:
  """Objects of an image in its copy from `fit`."""
  factors = [small.shape[axis] / image.shape[axis] for axis in (1, 0, 1, 0)]
  masks = objects.masks
  if masks is not None:
    masks = [fit((np.asarray(mask) != 0).astype(np.uint8), high=max_side) for mask in masks]
  return dataclasses.replace(objects, boxes=objects.boxes * factors, masks=masks)


def _paint(image: np.ndarray, mask: np.ndarray, colour: Color) -> np.ndarray:
  mask = np.asarray(mask) != 0
  if mask.shape != image.shape[:2]:
    raise ValueError(f"a mask of size {mask.shape} in an image of size {image.shape[:2]}")
  image = blend(image, colour, np.where(mask, _COVER, 0.0))
  return blend(image, colour, np.where(boundaries(mask), 0.9, 0.0))


def _frame(image: np.ndarray, box: np.ndarray, colour: Color) -> None:
  """Draws in place; the middle of the line is on the edge of the box."""
  height, width = image.shape[:2]
  limits = np.array([width, height, width, height])
  box = np.clip(box, -limits, 2 * limits) - 0.5  # OpenCV counts from the middle of a pixel
  x0, y0, x1, y1 = (int(v) for v in np.rint(box * 2**_SHIFT))
  thick = max(1, round(max(height, width) / 400))
  cv2.rectangle(image, (x0, y0), (x1, y1), colour, thick, cv2.LINE_AA, _SHIFT)


def _tags(
  image: np.ndarray, boxes: np.ndarray, words: Sequence[str], colours: Sequence[Color]
) -> np.ndarray:
  """Words on plates of the boxes' colours, above a box or, at the upper border, inside."""
  canvas = Image.fromarray(image)
  pen = ImageDraw.Draw(canvas)
  size = max(11, round(max(image.shape[:2]) / 70))
  letters, height = text.font(size), round(1.4 * size)
  for (x0, y0, _, _), word, colour in zip(boxes, words, colours, strict=True):
    width = letters.getlength(word) + 0.6 * size
    left = min(max(0, float(x0)), max(0, image.shape[1] - width))
    top = float(y0) - height if y0 >= height else max(0, float(y0))
    pen.rectangle((left, top, left + width, top + height), fill=colour)
    ink = INK if np.dot(colour, (0.299, 0.587, 0.114)) > 110 else PAPER
    pen.text((left + 0.3 * size, top + height / 2), word, ink, letters, anchor="lm")
  return np.asarray(canvas)
