"""Facial landmarks: image `(H, W, 3)` uint8 RGB, points `(L, 2)` -> `(h, w, 3)` uint8 RGB.

Points are (x, y) in pixels from 0, with the centres of pixels at whole numbers.
"""

from collections.abc import Sequence

import cv2
import numpy as np
from PIL import Image, ImageDraw

from hrnet_jax.visualize import text
from hrnet_jax.visualize.labels import blend
from hrnet_jax.visualize.palette import INK, MUTED, PAPER, Color
from hrnet_jax.visualize.sheet import contact_sheet, heading, stack

PREDICTED: Color = (255, 214, 10)
TRUE: Color = (0, 225, 140)
ERROR: Color = (255, 59, 48)
_EDGE: Color = (20, 22, 26)
_SHIFT = 4  # OpenCV draws at 1/16 of a pixel


def draw_points(
  image: np.ndarray,
  points: np.ndarray,
  *,
  truth: np.ndarray | None = None,
  colour: Color = PREDICTED,
) -> np.ndarray:
  """Draws points as discs with a dark rim, sized by the face and at most by the image.

  Args:
    image: `(H, W, 3)` uint8 RGB; it is not changed.
    points: `(L, 2)` pixels; those that are not finite or lie far outside are left out.
    truth: `(L, 2)` true points, drawn in green below the others, with a red line to each.
    colour: RGB of the points.

  Raises:
    ValueError: points are not `(L, 2)`, or as many as the true ones.
  """
  points = _checked(points, "points")
  image = np.ascontiguousarray(image).copy()
  if truth is None:
    return _discs(image, points, colour, _radius(image, points))
  truth = _checked(truth, "truth")
  if len(points) != len(truth):
    raise ValueError(f"{len(points)} points but {len(truth)} true ones")
  radius = max(1.2, 0.75 * _radius(image, truth))  # smaller, to leave the lines in sight
  _segments(image, points, truth, radius)
  _discs(image, truth, TRUE, radius)
  return _discs(image, points, colour, radius)


def landmarks_panel(
  image: np.ndarray,
  predicted: np.ndarray,
  truth: np.ndarray,
  title: str,
  *,
  side: int = 640,
) -> np.ndarray:
  """Puts the face, the predicted points, and both kinds with their errors side by side.

  Args:
    image: `(H, W, 3)` uint8 RGB, a crop or a whole photo; the panel shows the part around the
      true points.
    predicted: `(L, 2)` pixels.
    truth: `(L, 2)` pixels.
    title: the line above, such as the name of the photo and its normalised mean error.
    side: long side of every tile in pixels.

  Returns:
    `(h, w, 3)` uint8 RGB: three tiles in a row, heading above, key below.
  """
  image, (predicted, truth) = _close_up(image, [predicted, truth], side)
  tiles = {
    "image": image,
    "predicted": draw_points(image, predicted),
    "predicted and true": draw_points(image, predicted, truth=truth),
  }
  sheet = contact_sheet(list(tiles.values()), titles=list(tiles), columns=3)
  width = sheet.shape[1]
  return stack([heading([title], width=width), sheet, _key(width)])


def face_box(
  image: np.ndarray,
  box: Sequence[float],
  *,
  label: str = "",
  colour: Color = PREDICTED,
) -> np.ndarray:
  """Draws a box around a face, and a label above it or, at the upper border, inside.

  Args:
    image: `(H, W, 3)` uint8 RGB; it is not changed.
    box: left, top, right, bottom in pixels.
    label: a few words.
    colour: RGB of the box.

  Raises:
    ValueError: the box is not four finite numbers in order.
  """
  box = _checked_box(box)
  image = np.ascontiguousarray(image).copy()
  side = max(image.shape[:2])
  left, top, right, bottom = (round(min(max(x, -side), 2 * side)) for x in box)
  width = max(1, round(side / 400))
  for thickness, ink in ((width + 2, _EDGE), (width, colour)):
    cv2.rectangle(image, (left, top), (right, bottom), ink, thickness)
  return _tag(image, label, (left, top), width, colour) if label else image


def _checked(points: np.ndarray, name: str) -> np.ndarray:
  points = np.asarray(points, np.float64)
  if points.ndim != 2 or points.shape[1] != 2:
    raise ValueError(f"{name} have the shape (L, 2), got {points.shape}")
  return points


def _checked_box(box: Sequence[float]) -> list[float]:
  box = [float(x) for x in box]
  if len(box) != 4 or not np.isfinite(box).all() or box[0] > box[2] or box[1] > box[3]:
    raise ValueError(f"a box is left, top, right, bottom in pixels, got {box}")
  return box


def _radius(image: np.ndarray, points: np.ndarray) -> float:
  """Radius of a disc: small beside the face, visible in the image."""
  seen = points[np.isfinite(points).all(1)]
  face = float(np.ptp(seen, axis=0).max()) if len(seen) > 1 else np.inf
  return max(1.2, min(max(image.shape[:2]) / 160, face / 75))


def _visible(image: np.ndarray, points: np.ndarray) -> np.ndarray:
  """`(L,)` bool: finite and near enough for OpenCV's 32-bit coordinates."""
  margin = 4 * max(image.shape[:2])
  return np.isfinite(points).all(1) & (np.abs(points) <= margin).all(1)


def _fixed(point: np.ndarray) -> tuple[int, int]:
  x, y = np.rint(point * 2**_SHIFT).astype(int)
  return int(x), int(y)


def _discs(image: np.ndarray, points: np.ndarray, colour: Color, radius: float) -> np.ndarray:
  """Draws in place; pixels at the border of a disc are mixed by their distance to it."""
  rim = max(0.6, 0.3 * radius)
  for x, y in points[_visible(image, points)]:
    reach = radius + rim + 1
    rows, columns = (
      np.arange(max(0, int(place - reach)), min(size, int(place + reach) + 2))
      for place, size in ((y, image.shape[0]), (x, image.shape[1]))
    )
    distance = np.hypot(rows[:, None] - y, columns - x)
    part = np.ix_(rows, columns)
    for size, ink in ((radius + rim, _EDGE), (radius, colour)):
      image[part] = blend(image[part], ink, np.clip(size + 0.5 - distance, 0, 1))
  return image


def _segments(image: np.ndarray, points: np.ndarray, truth: np.ndarray, radius: float) -> None:
  seen = _visible(image, points) & _visible(image, truth)
  for start, end in zip(points[seen], truth[seen], strict=True):
    width = max(1, round(0.9 * radius))
    cv2.line(image, _fixed(start), _fixed(end), ERROR, width, cv2.LINE_AA, _SHIFT)


def _close_up(
  image: np.ndarray, sets: Sequence[np.ndarray], side: int
) -> tuple[np.ndarray, list[np.ndarray]]:
  """The part of the image around the last set of points, resized to `side`, and all the points."""
  sets = [_checked(points, "points") for points in sets]
  box = _surroundings(sets[-1], image.shape[:2])
  image = image[box[1] : box[3], box[0] : box[2]]
  scale = side / max(image.shape[:2])
  height, width = (max(1, round(scale * x)) for x in image.shape[:2])
  scales = np.array([width / image.shape[1], height / image.shape[0]])
  way = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
  resized = cv2.resize(image, (width, height), interpolation=way)
  return resized, [(points - box[:2] + 0.5) * scales - 0.5 for points in sets]


def _surroundings(points: np.ndarray, size: tuple[int, int]) -> tuple[int, int, int, int]:
  """The square around the points with a third of their extent on every side, within the image."""
  points = points[np.isfinite(points).all(1)]
  height, width = size
  if not len(points):
    return 0, 0, width, height
  low, high = points.min(0), points.max(0)
  half = max(16.0, 5 / 6 * float((high - low).max()))
  left, top = np.clip(np.floor((low + high) / 2 - half), 0, (width - 1, height - 1)).astype(int)
  right, bottom = np.ceil((low + high) / 2 + half + 1).astype(int)
  right, bottom = max(left + 1, min(right, width)), max(top + 1, min(bottom, height))
  return int(left), int(top), int(right), int(bottom)


def _key(width: int) -> np.ndarray:
  """A line that explains discs and lines."""
  size = text.size_for(width)
  canvas = np.full((2 * size, width, 3), PAPER, np.uint8)
  font, x, middle = text.font(size), float(size), size - 2
  words = []
  for name, colour in (("predicted", PREDICTED), ("true", TRUE), ("error", ERROR)):
    if colour == ERROR:
      ends = [_fixed(np.array([at, middle])) for at in (x, x + size)]
      cv2.line(canvas, *ends, colour, max(2, size // 8), cv2.LINE_AA, _SHIFT)
    else:
      _discs(canvas, np.array([[x + size / 2, middle]]), colour, 0.32 * size)
    words.append((x + 1.4 * size, name))
    x += 3 * size + font.getlength(name)
  picture = Image.fromarray(canvas)
  for start, name in words:
    ImageDraw.Draw(picture).text((start, middle), name, MUTED, font, anchor="lm")
  return np.asarray(picture)


def _tag(
  image: np.ndarray, label: str, corner: tuple[float, float], width: int, colour: Color
) -> np.ndarray:
  """The label on a plate of the box's colour that starts at its corner."""
  size = max(13, round(max(image.shape[:2]) / 60))
  plate = np.array([text.font(size).getlength(label) + size, 1.5 * size])
  room = np.array(image.shape[1::-1]) - plate
  x, y = corner[0] - width / 2, corner[1] - plate[1] - width / 2
  x, y = min(max(0, x), max(0, room[0])), min(corner[1] if y < 0 else y, max(0, room[1]))
  canvas = Image.fromarray(image)
  pen = ImageDraw.Draw(canvas)
  pen.rectangle((x, y, x + plate[0], y + plate[1]), fill=colour)
  pen.text((x + size / 2, y + plate[1] / 2), label, INK, text.font(size), anchor="lm")
  return np.asarray(canvas)
