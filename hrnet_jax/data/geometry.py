"""Pure functions that move pixels, shared by all transforms: `uint8 (H, W[, C]) -> uint8`.

Sizes are always `(height, width)`. Images are resized bilinearly with half-pixel centres in
OpenCV's 8-bit arithmetic, label maps by nearest neighbour with the index rule of the reference.
"""

from collections.abc import Callable, Sequence
from typing import Any

import cv2
import numpy as np
from PIL import Image

from hrnet_jax.errors import UserError
from hrnet_jax.ops import mirror


def resize_image(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
  """Resizes bilinearly without antialiasing: `(H, W, C) -> (*size, C)`."""
  height, width = size
  return with_opencv(
    image, lambda x: cv2.resize(x, (width, height), interpolation=cv2.INTER_LINEAR)
  )


def with_opencv(image: np.ndarray, function: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
  """Applies a function of OpenCV to an image of any number of channels: `-> (h, w, C)`.

  Args:
    image: uint8 (H, W, C).
    function: works on each channel alone, for up to three at a time.
  """
  parts = [
    function(np.ascontiguousarray(image[..., first : first + 3]))
    for first in range(0, image.shape[2], 3)
  ]
  # OpenCV leaves the axis out where there is one channel.
  parts = [part if part.ndim == 3 else part[..., None] for part in parts]
  return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=2)


def with_pillow(image: np.ndarray, function: Callable[[Image.Image], Image.Image]) -> np.ndarray:
  """Applies a function of Pillow to an image of any number of channels: `-> (h, w, C)`.

  Args:
    image: uint8 (H, W, C).
    function: works on each channel alone.
  """
  if image.shape[2] == 3:
    return np.asarray(function(Image.fromarray(np.ascontiguousarray(image))))
  # One by one: Pillow takes a fourth channel for alpha, and multiplies the others with it.
  planes = np.ascontiguousarray(np.moveaxis(image, 2, 0))
  return np.stack([np.asarray(function(Image.fromarray(plane))) for plane in planes], axis=2)


def resize_label(label: np.ndarray, size: tuple[int, int]) -> np.ndarray:
  """Resizes by nearest neighbour, so that no new value appears: `(H, W) -> size`."""
  rows, columns = (
    nearest_indices(n_in, n_out) for n_in, n_out in zip(label.shape, size, strict=True)
  )
  # `take` along one axis after the other is ten times as fast as indexing with arrays.
  return np.take(np.take(label, columns, axis=1), rows, axis=0)


def nearest_indices(n_in: int, n_out: int) -> np.ndarray:
  """Source index of every output pixel, `(n_out,)`: `floor(i * (1 / (n_out / n_in)))`.

  This is the rule of OpenCV's `INTER_NEAREST`: no half-pixel centres, and in double precision
  two divisions, not one; `i * n_in / n_out` picks a different pixel here and there.
  """
  step = 1.0 / (n_out / n_in)
  indices = np.floor(np.arange(n_out, dtype=np.float64) * step).astype(np.int64)
  return np.minimum(indices, n_in - 1)


def long_side_size(size: tuple[int, int], long_side: int) -> tuple[int, int]:
  """Size with the given long side and the same aspect, the short side rounded half up."""
  height, width = size
  if height > width:
    return long_side, max(1, int(width * long_side / height + 0.5))
  return max(1, int(height * long_side / width + 0.5)), long_side


def short_side_size(size: tuple[int, int], short_side: int) -> tuple[int, int]:
  """Size with the given short side and the same aspect, the long side rounded half up."""
  height, width = size
  if height < width:
    return short_side, int(width * short_side / height + 0.5)
  return int(height * short_side / width + 0.5), short_side


def pad_to(array: np.ndarray, size: tuple[int, int], value: int) -> np.ndarray:
  """Pads at the bottom and right up to `size`; a side that is large enough stays as it is."""
  height, width = array.shape[:2]
  bottom, right = max(size[0] - height, 0), max(size[1] - width, 0)
  if not bottom and not right:
    return array
  padding = ((0, bottom), (0, right)) + ((0, 0),) * (array.ndim - 2)
  return np.pad(array, padding, constant_values=value)


def crop(array: np.ndarray, x: int, y: int, size: tuple[int, int]) -> np.ndarray:
  """The window of `size` whose top left pixel is `(x, y)`, as a view.

  Raises:
    ValueError: if the window does not lie inside the array.
  """
  height, width = array.shape[:2]
  if not (0 <= y <= height - size[0] and 0 <= x <= width - size[1]):
    raise ValueError(
      f"a {size[0]} x {size[1]} crop at row {y}, column {x} leaves the {height} x {width} array"
    )
  return array[y : y + size[0], x : x + size[1]]


def center_crop(array: np.ndarray, size: tuple[int, int]) -> np.ndarray:
  """The central window of `size`; half pixels round to the even side, as in the reference."""
  height, width = array.shape[:2]
  return crop(array, round((width - size[1]) / 2), round((height - size[0]) / 2), size)


def flip(array: np.ndarray) -> np.ndarray:
  """Mirrors left and right, as a view."""
  return array[:, ::-1]


def swap_values(label: np.ndarray, pairs: Sequence[tuple[int, int]]) -> np.ndarray:
  """Exchanges the two values of every pair in a uint8 label map, e.g. left and right arm."""
  if not pairs:
    return label
  return mirror.partners(pairs, 256).astype(np.uint8)[label]


def shift_brightness(image: np.ndarray, shift: int) -> np.ndarray:
  """Adds `shift` grey levels to all channels, clipped to 0 .. 255."""
  return np.clip(image.astype(np.int16) + shift, 0, 255).astype(np.uint8)


def set_size(transform: Any, field: str, *, optional: bool = False) -> None:
  """Makes a field of a frozen transform a tuple: configs may hold lists, equal ones hash equal.

  Raises:
    ValueError: the value is not `(height, width)`; names the key of the config.
  """
  value = getattr(transform, field)
  if value is None and optional:
    return
  try:
    height, width = (int(n) for n in value)
  except (TypeError, ValueError):
    height = width = 0
  if height <= 0 or width <= 0:
    raise UserError(f"transform.{field} is {value!r}, expected (height, width) in pixels")
  object.__setattr__(transform, field, (height, width))
