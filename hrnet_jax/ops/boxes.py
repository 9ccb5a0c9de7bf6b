"""Boxes x0 y0 x1 y1 in pixels, and how one is written relative to another: `(..., N, 4)`."""

import dataclasses
import enum
import math

import jax
import jax.numpy as jnp

MAX_LOG_SCALE = math.log(1000 / 16)  # the most that the logarithm of a size may change in decoding
# Sizes are taken as at least this in encoding, in pixels: padded and flat boxes stay finite.
_SMALLEST = 1e-3


class Convention(enum.StrEnum):
  """The meaning of the second corner of a box.

  `MODERN`: corners are points, as wide as x1 - x0 (mmdetection 2 and 3). `LEGACY`: corners are the
  first and last pixel inside, as wide as x1 - x0 + 1 (mmdetection 0.6 and 1, and the official
  repository of HRNet built on it). All that touches a box differs between them, so a
  network has the convention that it was trained with.
  """

  MODERN = "modern"
  LEGACY = "legacy"

  @property
  def offset(self) -> int:
    """Pixels to add to a difference of corners to get a size."""
    return int(self is Convention.LEGACY)


def sizes(boxes: jax.Array, convention: Convention) -> jax.Array:
  """Widths and heights, `(..., 4) -> (..., 2)`; 0 for a box whose corners are swapped."""
  return jnp.maximum(boxes[..., 2:] - boxes[..., :2] + convention.offset, 0)


def areas(boxes: jax.Array, convention: Convention) -> jax.Array:
  """Areas in square pixels, `(..., 4) -> (...)`."""
  return sizes(boxes, convention).prod(-1)


def overlaps(a: jax.Array, b: jax.Array, convention: Convention) -> tuple[jax.Array, jax.Array]:
  """Area of the intersection and of the union of every pair.

  Args:
    a: `(..., N, 4)`.
    b: `(..., M, 4)`.
    convention: of both.

  Returns:
    Two arrays `(..., N, M)` in square pixels.
  """
  a, b = a[..., :, None, :], b[..., None, :, :]
  # Axis by axis: a last axis of two would leave most lanes of a vector unit empty.
  common = [
    jnp.minimum(a[..., k + 2], b[..., k + 2]) - jnp.maximum(a[..., k], b[..., k]) for k in (0, 1)
  ]
  width, height = (jnp.maximum(side + convention.offset, 0) for side in common)
  intersection = width * height
  return intersection, areas(a, convention) + areas(b, convention) - intersection


def iou(a: jax.Array, b: jax.Array, convention: Convention) -> jax.Array:
  """Intersection over union of every pair, `(..., N, 4), (..., M, 4) -> (..., N, M)`.

  Two boxes without area have 0.
  """
  intersection, union = overlaps(a, b, convention)
  return intersection / jnp.where(union > 0, union, 1)


def clip(boxes: jax.Array, size: jax.Array, convention: Convention) -> jax.Array:
  """Boxes cut to their image; one that lies outside keeps a place on the border.

  Args:
    boxes: `(..., N, 4)`.
    size: `(..., 2)` height and width of the image.
    convention: the last coordinate is the size (modern) or one less (legacy).

  Returns:
    `(..., N, 4)`.
  """
  last = jnp.asarray(size, boxes.dtype)[..., None, ::-1] - convention.offset
  return jnp.clip(boxes, 0, jnp.concatenate([last, last], axis=-1))


@dataclasses.dataclass(frozen=True)
class BoxCoder:
  """Boxes as shifts and logarithms of sizes relative to other boxes (R-CNN's appendix C).

  Attributes:
    stds: what the four deltas dx dy dw dh are divided by; each stage of a network has its own.
    convention: of all boxes.

  Raises:
    ValueError: not four positive numbers.
  """

  stds: tuple[float, float, float, float]
  convention: Convention

  def __post_init__(self):
    if len(self.stds) != 4 or not all(std > 0 for std in self.stds):
      raise ValueError(f"stds of a box coder are {self.stds}, expected four positive numbers")

  def encode(self, references: jax.Array, boxes: jax.Array) -> jax.Array:
    """The deltas that lead from references to boxes, `(..., 4) x 2 -> (..., 4)`.

    Finite for all finite boxes: sides below a thousandth of a pixel are taken as that.
    """
    centre, size = self._split(references)
    target, target_size = self._split(boxes)
    size, target_size = (jnp.maximum(x, _SMALLEST) for x in (size, target_size))
    shift, scale = (target - centre) / size, jnp.log(target_size / size)
    return jnp.concatenate([shift, scale], axis=-1) / jnp.asarray(self.stds, shift.dtype)

  def decode(self, references: jax.Array, deltas: jax.Array) -> jax.Array:
    """The boxes that deltas lead to; not cut to the image.

    Args:
      references: `(..., 4)`.
      deltas: `(..., 4)`; dimensions broadcast, as in `(N, 1, 4)` with `(N, K, 4)` of K classes.
        A side changes by a factor of 62.5 at most.

    Returns:
      `(..., 4)`, float32 or wider.
    """
    centre, size = self._split(references)
    dtype = jnp.promote_types(jnp.result_type(size, deltas), jnp.float32)
    deltas = deltas.astype(dtype) * jnp.asarray(self.stds, dtype)
    centre = centre + size * deltas[..., :2]
    # Legacy corners are the middles of pixels, half a pixel inside of the edges.
    scale = jnp.exp(jnp.clip(deltas[..., 2:], -MAX_LOG_SCALE, MAX_LOG_SCALE))
    half = (size * scale - self.convention.offset) / 2
    return jnp.concatenate([centre - half, centre + half], axis=-1)

  def _split(self, boxes: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Centres and sizes, `(..., 2) x 2`, float32 or wider."""
    boxes = boxes.astype(jnp.promote_types(boxes.dtype, jnp.float32))
    return (boxes[..., :2] + boxes[..., 2:]) / 2, sizes(boxes, self.convention)
