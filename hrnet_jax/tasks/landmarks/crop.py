"""Square window of an image around a face, resized: `uint8 (H, W, C) -> uint8 (size, size, C)`.

Two ways. `crop_affine` samples every pixel of the crop once, at its exact place. `crop_reference`
does what `crop` in lib/utils/transforms.py of HRNet/HRNet-Facial-Landmark-Detection does, pixel for
pixel: the window is cut at whole pixels, rotated and resized one after the other, and its contrast
is stretched to 0 .. 255 on the way, because the SciPy functions used there did so.
"""

import math

import cv2
import numpy as np
from PIL import Image

from hrnet_jax.data import geometry as pixels
from hrnet_jax.errors import UserError
from hrnet_jax.tasks.landmarks import geometry

MAX_OVERSAMPLING = 8


def crop_affine(
  image: np.ndarray,
  center: np.ndarray,
  scale: float,
  size: int,
  *,
  rotation: float = 0.0,
  first_pixel: float = 0.0,
) -> np.ndarray:
  """One warp, bilinear, black outside of the image.

  A point at p in the image is at `transform(crop_matrix(...), p)` in the crop, exactly.

  Args:
    image: uint8 (H, W, C).
    center: `(2,)` x and y of the window's middle.
    scale: side of the window in pixels / 200.
    size: side of the result.
    rotation: degrees, counter-clockwise.
    first_pixel: coordinate by which the annotation calls the middle of the first pixel.
  """
  # A window of more than twice the size of the crop would be sampled with gaps.
  ratio = geometry.PIXELS_PER_SCALE * scale / size
  factor = min(max(math.ceil(ratio / 2), 1), MAX_OVERSAMPLING)
  matrix = geometry.crop_matrix(center, scale, size * factor, rotation)
  # Positions are measured from the border of the crop, OpenCV's from the middle of a pixel.
  matrix[:2, 2] += matrix[:2, :2].sum(1) * first_pixel - 0.5

  def cut(part: np.ndarray) -> np.ndarray:
    crop = cv2.warpAffine(part, matrix[:2], (size * factor,) * 2, flags=cv2.INTER_LINEAR)
    return crop if factor == 1 else cv2.resize(crop, (size, size), interpolation=cv2.INTER_AREA)

  return pixels.with_opencv(image, cut)


def crop_reference(
  image: np.ndarray,
  center: np.ndarray,
  scale: float,
  size: int,
  *,
  rotation: float = 0.0,
  stretch_shrunk: bool = True,
) -> np.ndarray:
  """The crop of the reference, with its roundings and its stretched contrast.

  Where the reference fails because the window is wholly outside of the image, or the image shrinks
  to nothing, the crop is black.

  Args:
    image: uint8 (H, W, C).
    center: `(2,)` x and y of the window's middle, taken as float32.
    scale: side of the window in pixels / 200.
    size: side of the result.
    rotation: degrees, counter-clockwise.
    stretch_shrunk: whether an image with a window of twice the crop's size or more is stretched as
      a whole before it shrinks. The reference does this to images that it holds as floats, which
      are all but those of COFW.

  Raises:
    ValueError: the window is smaller than a pixel.
  """
  center = np.asarray(center, np.float32)
  shrink = geometry.PIXELS_PER_SCALE * scale / size
  if shrink >= 2:
    height, width = (math.floor(n / shrink) for n in image.shape[:2])
    if max(height, width) < 2 or min(height, width) < 1:
      return np.zeros((size, size, image.shape[2]), np.uint8)
    image = _resize(stretch(image) if stretch_shrunk else image, (width, height))
    # Not the ratios of the sizes, which were rounded down: content moves by a part of a pixel.
    center, scale = center / np.float32(shrink), scale / shrink
  start, stop, margin = _window(center, scale, size, rotation)
  window = stretch(_cut(image, start, stop))
  if rotation != 0:
    turned = pixels.with_pillow(window, lambda x: x.rotate(rotation, Image.Resampling.BILINEAR))
    height, width = window.shape[:2]
    window = turned[margin : height - margin, margin : width - margin]
  return _resize(window, (size, size))


def stretch(image: np.ndarray) -> np.ndarray:
  """Stretches grey levels over all pixels and channels together, so that they reach 0 and 255."""
  levels = np.arange(256, dtype=np.float32)
  table = byte_scale(levels, np.float32(image.min()), np.float32(image.max()))
  return cv2.LUT(image, table).reshape(image.shape)


def byte_scale(values: np.ndarray, low: np.float32, high: np.float32) -> np.ndarray:
  """float32 values to uint8, `low` to 0 and `high` to 255, in the arithmetic of SciPy 1.1."""
  spread = high - low
  scale = np.float32(255) / (spread if spread else np.float32(1))
  return (((values - low) * scale).clip(0, 255) + np.float32(0.5)).astype(np.uint8)


def _window(center, scale, size, rotation):
  """First and last (exclusive) pixel, x before y, and the margin that the rotation needs."""
  inverse = np.linalg.inv(geometry.crop_matrix(center, scale, size))
  corners = np.array([[-1, -1], [size - 1, size - 1]])
  start, stop = geometry.transform_to_whole(inverse, corners) + 1
  sides = stop - start
  if min(sides) < 1:
    raise UserError(
      f"the window around the face is {sides[0]} x {sides[1]} pixels; its scale {scale} is the side"
      " of the face in pixels / 200 and must be larger"
    )
  if rotation == 0:
    return start, stop, 0
  margin = int(np.linalg.norm(sides) / 2 - sides[1] / 2)
  return start - margin, stop + margin, margin


def _cut(image, start, stop):
  """Pixels `start` to `stop`, black where there is no image."""
  sides = stop - start
  window = np.zeros((sides[1], sides[0], image.shape[2]), np.uint8)
  low = np.maximum(start, 0)
  high = np.maximum(np.minimum(stop, image.shape[1::-1]), low)
  part = image[low[1] : high[1], low[0] : high[0]]
  x, y = np.minimum(low - start, sides)
  window[y : y + part.shape[0], x : x + part.shape[1]] = part
  return window


def _resize(image, size):
  if image.shape[1::-1] == size:
    return image
  return pixels.with_pillow(image, lambda x: x.resize(size, Image.Resampling.BILINEAR))
