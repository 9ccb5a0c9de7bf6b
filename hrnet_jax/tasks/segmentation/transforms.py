"""Image and encoded label map to arrays of one size: `-> uint8 (H, W, C), uint8 (H, W)`.

The fields of the transforms are the keys of a config's `transform` block. Normalisation is not
done here: uint8 is a quarter of the bytes to move, and the device normalises a whole batch.
The augmentation is that of HRNet/HRNet-Semantic-Segmentation, `lib/datasets/base_dataset.py`
(`gen_sample`) and `lib/datasets/lip.py`, equal to it bit for bit.
"""

from collections.abc import Mapping
import dataclasses

from grain import transforms
import numpy as np

from hrnet_jax.data import geometry, images
from hrnet_jax.errors import UserError
from hrnet_jax.ops import mirror

MAX_BRIGHTNESS_SHIFT = 10  # grey levels


@dataclasses.dataclass(frozen=True)
class SegmentationDecisions:
  """Everything that is random about one training example.

  Attributes:
    scale: long side of the resized image as a multiple of `base_size`.
    x: first column of the crop in the resized and padded image.
    y: first row of the crop.
    flip: whether the example is mirrored.
    brightness: grey levels added to the image.
  """

  scale: float = 1.0
  x: int = 0
  y: int = 0
  flip: bool = False
  brightness: int = 0


@dataclasses.dataclass(frozen=True)
class SegmentationTrainTransform(transforms.RandomMap):
  """Random scale, pad, random crop, random flip: record `-> {"image": (h, w, C), "label": (h, w)}`.

  Attributes:
    crop_size: `(height, width)` of the result.
    base_size: long side in pixels at scale 1, whatever the size of the image; None takes the
      long side of the image itself.
    scale_factor: the scale is `0.5 + k / 10` with k drawn from 0 to this number inclusive (16
      reaches 2.1); None keeps the size.
    flip: whether half of the examples are mirrored.
    ignore: label of the pixels added by padding; the image is padded with black.
    label_stride: keeps every n-th row and column of the label.
    brightness: whether half of the images are shifted by up to 10 grey levels.
    flip_pairs: pairs of class ids that change places in a mirrored example, e.g. left and right
      arm.
    resize: `(height, width)` to which the example is stretched first. The flip then happens
      before this, at the original size, as the reference does for LIP.
    short_side: pixels to which the short side is brought first, aspect kept, as the reference's
      branch HRNet-OCR does for PASCAL-Context, ADE20K and COCO-Stuff; the random scale then resizes
      a second time.
  """

  crop_size: tuple[int, int]
  base_size: int | None = None
  scale_factor: int | None = 16
  flip: bool = True
  ignore: int = 255
  label_stride: int = 1
  brightness: bool = False
  flip_pairs: tuple[tuple[int, int], ...] | None = ()
  resize: tuple[int, int] | None = None
  short_side: int | None = None

  def __post_init__(self):
    geometry.set_size(self, "crop_size")
    geometry.set_size(self, "resize", optional=True)
    _check_first(self.resize, self.short_side)
    _check_ids("ignore", (self.ignore,))
    pairs = mirror.checked_pairs(self.flip_pairs or (), "transform.flip_pairs", "class")
    _check_ids("flip_pairs", [n for pair in pairs for n in pair])
    object.__setattr__(self, "flip_pairs", pairs)
    if self.scale_factor is not None and self.scale_factor < 0:
      raise UserError(f"transform.scale_factor is {self.scale_factor}, expected 0 or more, or None")
    if self.base_size is not None and self.base_size <= 0:
      raise UserError(f"transform.base_size is {self.base_size}, expected a number of pixels")
    if self.label_stride < 1 or any(n % self.label_stride for n in self.crop_size):
      raise UserError(
        f"transform.label_stride is {self.label_stride}, expected a divisor of both sides of"
        f" crop_size {self.crop_size}"
      )

  def random_map(self, record: Mapping, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Reads a record, draws the decisions from `rng` and applies them."""
    image, label = read(record)
    return self.apply(image, label, self.draw(rng, label.shape))

  def draw(self, rng: np.random.Generator, size: tuple[int, int]) -> SegmentationDecisions:
    """Draws scale, x, y, flip in this order for an image of `size`, and last the brightness."""
    scale = 1.0
    if self.scale_factor is not None:
      scale = 0.5 + int(rng.integers(self.scale_factor + 1)) / 10
    height, width = self._scaled_size(size, scale)
    x = int(rng.integers(max(width - self.crop_size[1], 0) + 1))
    y = int(rng.integers(max(height - self.crop_size[0], 0) + 1))
    flip = self.flip and bool(rng.integers(2))
    shift = 0
    if self.brightness and rng.integers(2):
      shift = int(rng.integers(-MAX_BRIGHTNESS_SHIFT, MAX_BRIGHTNESS_SHIFT + 1))
    return SegmentationDecisions(scale, x, y, flip, shift)

  def apply(
    self, image: np.ndarray, label: np.ndarray, decisions: SegmentationDecisions
  ) -> dict[str, np.ndarray]:
    """Carries out `decisions` on a uint8 image (H, W, C) and label map (H, W)."""
    if self.resize is not None:
      image, label = self._maybe_flip(image, label, decisions)
    image, label = _resize(image, label, _first_size(self, label.shape))
    image, label = _resize(image, label, self._scaled_size(label.shape, decisions.scale))
    image = geometry.pad_to(image, self.crop_size, 0)
    label = geometry.pad_to(label, self.crop_size, self.ignore)
    image = geometry.crop(image, decisions.x, decisions.y, self.crop_size)
    label = geometry.crop(label, decisions.x, decisions.y, self.crop_size)
    if decisions.brightness:
      image = geometry.shift_brightness(image, decisions.brightness)
    if self.resize is None:
      image, label = self._maybe_flip(image, label, decisions)
    return _example(image, label[:: self.label_stride, :: self.label_stride])

  def _scaled_size(self, size: tuple[int, int], scale: float) -> tuple[int, int]:
    """Size of an image of `size` after the random scale."""
    size = _first_size(self, size)
    if self.scale_factor is None:
      return size
    base_size = max(size) if self.base_size is None else self.base_size
    return geometry.long_side_size(size, int(base_size * scale + 0.5))

  def _maybe_flip(self, image, label, decisions):
    if not decisions.flip:
      return image, label
    return geometry.flip(image), geometry.swap_values(geometry.flip(label), self.flip_pairs)


@dataclasses.dataclass(frozen=True)
class SegmentationEvalTransform(transforms.Map):
  """Nothing random: record `-> {"image": (h, w, C), "label": (h, w)}`.

  By default an example keeps its size. The options act in the order in which they are listed.

  Attributes:
    resize: `(height, width)` to which image and label are stretched.
    short_side: pixels to which the short side is brought, aspect kept.
    base_size: long side in pixels to which image and label are resized.
    center_crop: `(height, width)` of the central window that is kept.
    size: `(height, width)` up to which bottom and right are padded, so that examples of several
      sizes form a batch.
    ignore: label of the pixels added by padding; the image is padded with black.
  """

  resize: tuple[int, int] | None = None
  short_side: int | None = None
  base_size: int | None = None
  center_crop: tuple[int, int] | None = None
  size: tuple[int, int] | None = None
  ignore: int = 255

  def __post_init__(self):
    for field in ("resize", "center_crop", "size"):
      geometry.set_size(self, field, optional=True)
    _check_first(self.resize, self.short_side)
    _check_ids("ignore", (self.ignore,))
    if self.base_size is not None and self.base_size <= 0:
      raise UserError(f"transform.base_size is {self.base_size}, expected a number of pixels")

  def map(self, record: Mapping) -> dict[str, np.ndarray]:
    """Reads a record and brings it to the size asked for."""
    image, label = read(record)
    return self.apply(image, label, name=record["name"])

  def apply(self, image: np.ndarray, label: np.ndarray, name: str = "") -> dict[str, np.ndarray]:
    """Resizes, crops and pads a uint8 image (H, W, C) and label map (H, W).

    Raises:
      ValueError: if the example is smaller than `center_crop` or larger than `size`.
    """
    image, label = _resize(image, label, _first_size(self, label.shape))
    if self.base_size is not None:
      image, label = _resize(image, label, geometry.long_side_size(label.shape, self.base_size))
    if self.center_crop is not None:
      _check_fits(name, "center_crop", self.center_crop, label.shape, "at most")
      image = geometry.center_crop(image, self.center_crop)
      label = geometry.center_crop(label, self.center_crop)
    if self.size is not None:
      _check_fits(name, "size", label.shape, self.size, "at least")
      image = geometry.pad_to(image, self.size, 0)
      label = geometry.pad_to(label, self.size, self.ignore)
    return _example(image, label)


def read(record: Mapping) -> tuple[np.ndarray, np.ndarray]:
  """Image (H, W, C) and label map (H, W) of a record, both uint8.

  Raises:
    ValueError: if the bytes are damaged or the two differ in size; names the record.
  """
  name = record["name"]
  image, label = record["image"], images.decode_label(record["label"], name)
  if image.shape[:2] != label.shape:
    raise UserError(
      f"{name}: the image is {image.shape[0]} x {image.shape[1]} (height x width) but the label"
      f" map is {label.shape[0]} x {label.shape[1]}; expected equal sizes"
    )
  return image, label


def _first_size(transform, size):
  """Size of an image of `size` after what the options `resize` and `short_side` ask for."""
  if transform.resize is not None:
    return transform.resize
  if transform.short_side is not None:
    return geometry.short_side_size(size, transform.short_side)
  return tuple(size)


def _resize(image, label, size):
  if label.shape == tuple(size):
    return image, label
  return geometry.resize_image(image, size), geometry.resize_label(label, size)


def _example(image, label) -> dict[str, np.ndarray]:
  # Copies: a view would keep the whole decoded image alive in the prefetch buffer.
  return {"image": np.array(image, order="C"), "label": np.array(label, order="C")}


def _check_first(resize, short_side):
  if short_side is None:
    return
  if resize is not None:
    raise UserError(
      f"transform.resize is {resize} and transform.short_side is {short_side}; set one of them"
    )
  if short_side <= 0:
    raise UserError(f"transform.short_side is {short_side}, expected a number of pixels")


def _check_ids(field: str, ids):
  if bad := [n for n in ids if not 0 <= n <= 255]:
    raise UserError(f"transform.{field} holds {bad[0]}; label maps are uint8, expected 0 .. 255")


def _check_fits(name, field, inner, outer, bound):
  if inner[0] > outer[0] or inner[1] > outer[1]:
    example, limit = (outer, inner) if bound == "at most" else (inner, outer)
    raise UserError(
      f"{name}: the example is {example[0]} x {example[1]} (height x width) but"
      f" transform.{field} is {limit[0]} x {limit[1]}; {field} must be {bound} the size of every"
      f" example: set it to {bound} ({example[0]}, {example[1]})"
    )
