"""Image with one class to an array of one size: `(H, W, C), int -> uint8 (h, w, C), int32 ()`.

The fields of the transforms are the keys of a config's `transform` block. Normalisation is not done
here, see `ops/normalize.py`. The augmentation is that of the reference,
HRNet/HRNet-Image-Classification, whose `tools/train.py` and `tools/valid.py` call torchvision:
pixels pass through the same functions of Pillow, so that equal decisions give equal pixels.
"""

from collections.abc import Callable, Mapping
import dataclasses
import math

from grain import transforms
import numpy as np
from PIL import Image

from hrnet_jax.data import geometry
from hrnet_jax.errors import UserError, check_known

TRIES = 10  # to find a window inside the image
Window = tuple[int, int, int, int]  # x, y, width, height


@dataclasses.dataclass(frozen=True)
class ClassificationDecisions:
  """Everything that is random about one training example.

  Attributes:
    window: x, y, width and height of the part of the image that is kept.
    flip: whether it is mirrored.
  """

  window: Window
  flip: bool = False


@dataclasses.dataclass(frozen=True)
class ClassificationTrainTransform(transforms.RandomMap):
  """Random window, resized, and flip: record `-> {"image": (h, w, C), "label": ()}`.

  Attributes:
    crop_size: `(height, width)` of the result.
    area: smallest and largest share of the image's area that a window has.
    aspect: smallest and largest ratio of width to height.
    sampling: a key of `SAMPLING`: how windows are drawn.
    flip: whether half of the examples are mirrored.
  """

  crop_size: tuple[int, int]
  area: tuple[float, float] = (0.08, 1.0)
  aspect: tuple[float, float] = (3 / 4, 4 / 3)
  sampling: str = "log_uniform"
  flip: bool = True

  def __post_init__(self):
    geometry.set_size(self, "crop_size")
    for field, largest in (("area", 1.0), ("aspect", math.inf)):
      low, high = getattr(self, field)
      if not 0 < low <= high <= largest:
        raise UserError(
          f"transform.{field} is {(low, high)}, expected 0 < smallest <= largest <= {largest}"
        )
      object.__setattr__(self, field, (low, high))
    check_known(self.sampling, sorted(SAMPLING), "transform.sampling")

  def random_map(self, record: Mapping, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Reads a record, draws the decisions from `rng` and applies them."""
    image = read(record)
    return self.apply(image, record["label"], self.draw(rng, image.shape[:2]))

  def draw(self, rng: np.random.Generator, size: tuple[int, int]) -> ClassificationDecisions:
    """Draws the window and then the flip for an image of `size` (height, width)."""
    window = SAMPLING[self.sampling](rng, size, self.area, self.aspect)
    return ClassificationDecisions(window, self.flip and bool(rng.integers(2)))

  def apply(
    self, image: np.ndarray, label: int, decisions: ClassificationDecisions
  ) -> dict[str, np.ndarray]:
    """Carries out `decisions` on a uint8 image (H, W, C)."""
    x, y, width, height = decisions.window
    image = resize(geometry.crop(image, x, y, (height, width)), self.crop_size)
    return _example(geometry.flip(image) if decisions.flip else image, label)


@dataclasses.dataclass(frozen=True)
class ClassificationEvalTransform(transforms.Map):
  """Resize and centre crop: record `-> {"image": (h, w, C), "label": ()}`.

  Attributes:
    crop_size: `(height, width)` of the result.
    resize: short side in pixels before the crop; the reference takes `int(224 / 0.875)`, 256.
  """

  crop_size: tuple[int, int]
  resize: int

  def __post_init__(self):
    geometry.set_size(self, "crop_size")
    if self.resize < max(self.crop_size):
      raise UserError(
        f"transform.resize is {self.resize}, expected at least the sides of crop_size"
        f" {self.crop_size}"
      )

  def map(self, record: Mapping) -> dict[str, np.ndarray]:
    """Reads a record and brings it to the size asked for."""
    return _example(self.apply(read(record)), record["label"])

  def apply(self, image: np.ndarray) -> np.ndarray:
    """Resizes a uint8 image (H, W, C) and cuts its centre out: `-> (*crop_size, 3)`."""
    height, width = image.shape[:2]
    short = min(height, width)
    # Integer division: torchvision cuts the long side off, it does not round it.
    size = (self.resize * height // short, self.resize * width // short)
    return geometry.center_crop(resize(image, size), self.crop_size)


def draw_log_uniform(
  rng: np.random.Generator,
  size: tuple[int, int],
  area: tuple[float, float],
  aspect: tuple[float, float],
) -> Window:
  """As torchvision since 0.4: wide and tall windows are equally likely.

  Falls back to the largest central window whose aspect is allowed.

  Args:
    rng: draws area, aspect and, once the window fits, y and x.
    size: height and width of the image.
    area: bounds of the share of the image's area.
    aspect: bounds of the ratio of width to height.
  """
  height, width = size
  low, high = np.log(aspect)
  for _ in range(TRIES):
    target, ratio = height * width * rng.uniform(*area), math.exp(rng.uniform(low, high))
    w, h = round(math.sqrt(target * ratio)), round(math.sqrt(target / ratio))
    if 0 < w <= width and 0 < h <= height:
      return _place(rng, size, w, h)
  w, h = width, height
  if width / height < aspect[0]:
    h = max(1, round(width / aspect[0]))
  elif width / height > aspect[1]:
    w = max(1, round(height * aspect[1]))
  return (width - w) // 2, (height - h) // 2, w, h


def draw_linear_swap(
  rng: np.random.Generator,
  size: tuple[int, int],
  area: tuple[float, float],
  aspect: tuple[float, float],
) -> Window:
  """As torchvision 0.2.1, with which the reference was trained: see `draw_log_uniform`.

  The aspect is drawn uniformly, and half of the windows are turned by 90 degrees. Falls back to
  the largest central square.
  """
  height, width = size
  for _ in range(TRIES):
    target, ratio = height * width * rng.uniform(*area), rng.uniform(*aspect)
    w, h = round(math.sqrt(target * ratio)), round(math.sqrt(target / ratio))
    if rng.random() < 0.5:
      w, h = h, w
    # The original does not look for windows without a pixel, which very small images give.
    if 0 < w <= width and 0 < h <= height:
      return _place(rng, size, w, h)
  side = min(size)
  return (width - side) // 2, (height - side) // 2, side, side


SAMPLING: dict[str, Callable[..., Window]] = {
  "linear_swap": draw_linear_swap,
  "log_uniform": draw_log_uniform,
}


def read(record: Mapping) -> np.ndarray:
  """Image (H, W, C) uint8 of a record.

  If the record has a `box` (x0, y0, x1, y1), the part of the image that lies in it.

  Raises:
    ValueError: the record has no class; names the record.
  """
  if np.ndim(record["label"]) or isinstance(record["label"], bytes):
    raise UserError(
      f"{record['name']}: this data set has label maps, not one class for each image; set data.name"
      " to one that has, such as image_folder_classification"
    )
  image = record["image"]
  if "box" not in record:
    return image
  x0, y0, x1, y1 = record["box"]
  return image[max(y0, 0) : y1, max(x0, 0) : x1]


def resize(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
  """Resizes bilinearly with antialiasing, as Pillow does it: `(H, W, C) -> (*size, C)`.

  What lies outside must be cut off before: Pillow's `box` would let it bleed in at the border.
  """
  if image.shape[:2] == tuple(size):
    return image
  height, width = size
  return geometry.with_pillow(image, lambda x: x.resize((width, height), Image.Resampling.BILINEAR))


def _place(rng, size, w, h) -> Window:
  y = int(rng.integers(size[0] - h + 1))
  x = int(rng.integers(size[1] - w + 1))
  return x, y, w, h


def _example(image, label) -> dict[str, np.ndarray]:
  # A copy: a view would keep the whole image alive in the prefetch buffer.
  return {"image": np.array(image, order="C"), "label": np.int32(label)}
