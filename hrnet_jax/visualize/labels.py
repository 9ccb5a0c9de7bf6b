"""Label maps as pictures: image `(H, W, 3)` uint8 RGB, label `(H, W)` ids -> `(H, W, 3)` uint8."""

import cv2
import numpy as np

from hrnet_jax.visualize.palette import HATCH, PAPER, WRONG, Color, Palette


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
  painted = known(label, len(palette))
  return table[np.where(painted, label, len(palette))]


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
  check_same_size(image, label)
  if not 0 <= alpha <= 1:
    raise ValueError(f"alpha is a share between 0 and 1, got {alpha}")
  weight = np.where(known(label, len(palette)), alpha, 0.0)
  out = blend(image, colorize(label, palette), weight)
  return blend(out, PAPER, 0.9 * _lines(label)) if lines else out


def hatch(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
  """Covers the pixels of `mask` `(H, W)` with grey diagonal stripes, the sign for "not counted"."""
  height, width = mask.shape
  period = max(4, max(height, width) // 60)
  stripe = (np.arange(height)[:, None] + np.arange(width)) // (period // 2) % 2
  return np.where(mask[..., None], np.asarray(HATCH, np.uint8)[stripe], image)


def faded(image: np.ndarray) -> np.ndarray:
  """A pale grey copy of a photo, on which marks stand out."""
  gray = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
  return blend(gray, PAPER, np.full(image.shape[:2], 0.45))


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
  counted = known(truth, num_classes)
  wrong = counted & (prediction != truth)
  return hatch(blend(faded(image), WRONG, np.where(wrong, 0.85, 0.0)), ~counted)


def known(label: np.ndarray, num_classes: int) -> np.ndarray:
  """Pixels that have a class: `(H, W)` ids -> `(H, W)` bool, False where they are ignored."""
  return (label >= 0) & (label < num_classes)


def check_same_size(image: np.ndarray, label: np.ndarray) -> None:
  """Refuses a label map `(H, W)` that does not belong to the image `(H, W, 3)`: ValueError."""
  if image.shape[:2] != label.shape:
    raise ValueError(f"image of size {image.shape[:2]} but label map of size {label.shape}")


def blend(base: np.ndarray, top: np.ndarray | Color, weight: np.ndarray) -> np.ndarray:
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
