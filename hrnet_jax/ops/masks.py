"""Masks of objects in boxes: what a mask head learns, and its answer in the image, `(h, w)`."""

import cv2
import jax
import jax.numpy as jnp
import numpy as np

from hrnet_jax.ops.boxes import Convention, sizes

_SAMPLES = 4  # along each axis of a modern target's cell


def mask_targets(
  masks: jax.Array,
  truths: jax.Array,
  boxes: jax.Array,
  matched: jax.Array,
  size: int,
  *,
  convention: Convention,
) -> jax.Array:
  """Targets of the mask head: the part of the object's mask that the proposed box shows.

  The reference reads the mask of the whole image. Here the mask of an object is known on the grid
  of its own box, is interpolated between cells and is empty beyond them. Modern: the mean of
  4 x 4 points of a cell (theirs: a point for each pixel). Legacy: its middle, in a box of whole
  pixels.

  Args:
    masks: `(M, h, w)` uint8, each object's mask in its box, 255 where it is covered.
    truths: `(M, 4)` boxes of the objects.
    boxes: `(R, 4)` proposed boxes.
    matched: `(R,)` the object of each.
    size: side of the result.
    convention: of all boxes.

  Returns:
    `(R, size, size)` float32, 0 or 1.
  """
  truths, boxes = jax.lax.stop_gradient((truths[matched], boxes))
  start, extent, samples = boxes[:, :2], sizes(boxes, convention), _SAMPLES
  if convention is Convention.LEGACY:
    whole = jnp.trunc(boxes)
    start, extent, samples = whole[:, :2], jnp.maximum(sizes(whole, convention), 1), 1
  unit = jnp.maximum(sizes(truths, convention), 1e-3)
  start, extent = (start - truths[:, :2]) / unit, extent / unit
  rows, columns = (
    _interpolation(start[:, k], extent[:, k], size, samples, masks.shape[2 - k]) for k in (1, 0)
  )
  values = masks[matched].astype(jnp.float32) / 255
  highest = jax.lax.Precision.HIGHEST
  values = jnp.einsum("rih,rhw->riw", rows, values, precision=highest)
  values = jnp.einsum("rjw,riw->rij", columns, values, precision=highest)
  # Half a cell of 255 is 127.5: what is meant as half must not fall below it by rounding.
  return (values >= 0.5 - 1e-5).astype(jnp.float32)


def _interpolation(
  start: jax.Array, extent: jax.Array, size: int, samples: int, cells: int
) -> jax.Array:
  """Weights `(R, size, cells)` of one axis; start and extent in units of the object's box."""
  points = (np.arange(size * samples) + 0.5) / (size * samples)
  position = (start[:, None] + points * extent[:, None]) * cells - 0.5
  hats = jnp.maximum(1 - abs(position[..., None] - np.arange(cells)), 0)
  return hats.reshape(-1, size, samples, cells).mean(2)


def paste(
  probabilities: np.ndarray,
  box: np.ndarray,
  size: tuple[int, int],
  *,
  convention: Convention,
  threshold: float = 0.5,
) -> np.ndarray:
  """A predicted mask in the image that its box belongs to; on the host.

  Modern: every pixel's middle is looked up between the cells, at least `threshold` counts.
  Legacy: the corners are truncated to whole pixels, the mask is resized to them, more than
  `threshold` counts.

  Args:
    probabilities: `(h, w)` floating point.
    box: `(4,)` in pixels of the image. What lies outside is cut off. A modern box without area, or
      one that is not finite, has no pixels; a legacy one has at least one.
    size: height and width of the image.
    convention: of the box.
    threshold: see above.

  Returns:
    `(height, width)` bool.
  """
  canvas = np.zeros(size, bool)
  box = np.asarray(box, np.float64)
  if np.isfinite(box).all():
    (_paste_modern if convention is Convention.MODERN else _paste_legacy)(
      canvas, np.asarray(probabilities, np.float32), box, threshold
    )
  return canvas


def _paste_modern(
  canvas: np.ndarray, probabilities: np.ndarray, box: np.ndarray, threshold: float
) -> None:
  columns, across = _lookup(box[0], box[2], probabilities.shape[1], canvas.shape[1])
  rows, down = _lookup(box[1], box[3], probabilities.shape[0], canvas.shape[0])
  canvas[rows, columns] = down @ probabilities @ across.T >= threshold


def _lookup(start: float, end: float, cells: int, length: int) -> tuple[slice, np.ndarray]:
  """The pixels of an axis that a mask reaches, and the weights of its cells in each."""
  if not end > start:
    return slice(0), np.zeros((0, cells), np.float32)
  margin = (end - start) / cells / 2  # the outermost cells fade to nothing over half of their side
  first, last = (int(np.clip(x, 0, length)) for x in (start - margin, np.ceil(end + margin)))
  position = (np.arange(first, last) + 0.5 - start) / (end - start) * cells - 0.5
  weights = np.maximum(1 - abs(position[:, None] - np.arange(cells)), 0)
  return slice(first, last), weights.astype(np.float32)


def _paste_legacy(
  canvas: np.ndarray, probabilities: np.ndarray, box: np.ndarray, threshold: float
) -> None:
  x0, y0, x1, y1 = np.trunc(box).astype(int)
  width, height = max(x1 - x0 + 1, 1), max(y1 - y0 + 1, 1)
  mask = cv2.resize(probabilities, (width, height), interpolation=cv2.INTER_LINEAR) > threshold
  left, top = max(x0, 0), max(y0, 0)
  part = canvas[top : max(y0 + height, 0), left : max(x0 + width, 0)]
  part[:] = mask[top - y0 :, left - x0 :][: part.shape[0], : part.shape[1]]
