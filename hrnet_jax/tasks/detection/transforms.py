"""Image with boxes to arrays of one size: `(h, w, C), (N, 4) -> uint8 (H, W, C), (M, 4)`.

The fields of the transforms are the keys of a config's `transform` block. Images keep their aspect
and fill the upper left of a canvas, one for wide and one for tall images if two are given; the rest
is black. Sources: the pipelines of mmdetection's configs for HRNet, and the multi-scale ones of
HRNet/HRNet-Object-Detection. Normalisation is not done here.
"""

from collections.abc import Mapping
import dataclasses

from grain import transforms
import numpy as np

from hrnet_jax.data import geometry
from hrnet_jax.errors import UserError
from hrnet_jax.tasks.detection.objects import Move, Padding, resized_size

Canvases = tuple[tuple[int, int], ...]
Scale = tuple[int, int]  # the longest that the long and the short side may be
SCALE: Scale = (1333, 800)


@dataclasses.dataclass(frozen=True)
class DetectionDecisions:
  """Everything that is random about one training example.

  Attributes:
    scale: the longest that the long and the short side may be.
    flip: whether it is mirrored.
  """

  scale: Scale
  flip: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class OnCanvas:
  """Puts images on canvases; base of the transforms.

  Attributes:
    canvas: `(height, width)` of one canvas, or of one for wide and one for tall images.
    max_objects: see `detection_objects.Padding`, also for the fields that follow.
    masks: whether examples have masks.
    mask_size: side of the masks.
    min_area: of boxes.
  """

  canvas: Canvases
  max_objects: int = 100
  masks: bool = False
  mask_size: int = 112
  min_area: float = 0.0

  def __post_init__(self):
    _set_canvas(self)
    Padding(**self._padding_options())

  def groups(self, sizes: np.ndarray) -> np.ndarray | None:
    """Which canvas each of many images is put on; None if all canvases are equal.

    Args:
      sizes: `(N, 2)` heights and widths.

    Returns:
      `(N,)` int: 0 for wide images, 1 for tall and square ones.
    """
    return (sizes[:, 0] >= sizes[:, 1]).astype(np.int64) if len(set(self.canvas)) > 1 else None

  def canvas_of(self, size: tuple[int, int]) -> tuple[int, int]:
    """The canvas for an image of `size` (height, width)."""
    return self.canvas[-1 if size[0] >= size[1] else 0]

  def place(self, image: np.ndarray, move: Move, name: str) -> dict[str, np.ndarray]:
    """Moves a uint8 image (H, W, C): `-> {"image": (*canvas, C), "image_size": (2,) float32}`.

    `image_size` is height and width of the part that is not padding.

    Raises:
      ValueError: it does not fit the canvas; names the image.
    """
    if image.shape[:2] != move.new:
      image = geometry.resize_image(image, move.new)
    canvas = self.canvas_of(move.old)
    if move.new[0] > canvas[0] or move.new[1] > canvas[1]:
      raise UserError(
        f"{name}: {move.new[1]}x{move.new[0]} pixels after resizing do not fit the canvas of "
        f"{canvas[1]}x{canvas[0]}; give transform.canvas a wide and a tall one, such as "
        f"({canvas}, {canvas[::-1]}), or a smaller scale"
      )
    placed = np.zeros((*canvas, image.shape[2]), np.uint8)
    placed[: move.new[0], : move.new[1]] = geometry.flip(image) if move.flip else image
    return {"image": placed, "image_size": np.array(move.new, np.float32)}

  def objects(self, record: Mapping, move: Move) -> dict[str, np.ndarray]:
    """See `Padding.arrays`."""
    return Padding(**self._padding_options()).arrays(record, move)

  def _padding_options(self):
    return {field.name: getattr(self, field.name) for field in dataclasses.fields(Padding)}


@dataclasses.dataclass(frozen=True, kw_only=True)
class DetectionTrainTransform(OnCanvas, transforms.RandomMap):
  """Random scale and flip: record `-> {"image", "image_size", "boxes", "classes", "valid", ...}`.

  Attributes:
    scales: what the long and the short side may be at most.
    scale_mode: `value` takes one of the scales; `range` draws the two sides between the smallest
      and the largest of them.
    flip: whether half of the examples are mirrored.
  """

  scales: tuple[Scale, ...] = (SCALE,)
  scale_mode: str = "value"
  flip: bool = True

  def __post_init__(self):
    super().__post_init__()
    object.__setattr__(self, "scales", tuple(_checked_scale(self, s) for s in self.scales))
    if not self.scales:
      raise UserError("transform.scales is empty, expected such as ((1333, 800),)")
    if self.scale_mode not in ("range", "value"):
      raise UserError(f"unknown transform.scale_mode {self.scale_mode!r}; known: range, value")

  def random_map(self, record: Mapping, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Reads a record, draws the decisions from `rng` and applies them."""
    return self.apply(read(record), record, self.draw(rng))

  def draw(self, rng: np.random.Generator) -> DetectionDecisions:
    """Draws the scale and then the flip."""
    if self.scale_mode == "value":
      scale = self.scales[int(rng.integers(len(self.scales)))]
    else:
      sides = (rng.integers(min(side), max(side) + 1) for side in zip(*self.scales, strict=True))
      scale = tuple(int(side) for side in sides)
    return DetectionDecisions(scale, self.flip and bool(rng.integers(2)))

  def apply(
    self, image: np.ndarray, record: Mapping, decisions: DetectionDecisions
  ) -> dict[str, np.ndarray]:
    """Carries out `decisions` on a uint8 image (H, W, C) and the objects of its record."""
    size = image.shape[:2]
    move = Move(size, resized_size(size, decisions.scale), decisions.flip)
    return self.place(image, move, record["name"]) | self.objects(record, move)


@dataclasses.dataclass(frozen=True, kw_only=True)
class DetectionEvalTransform(OnCanvas, transforms.Map):
  """Resizes: record `-> {"image", "image_size", "boxes", ..., "scale", "original_size", ...}`.

  Attributes:
    scale: what the long and the short side may be at most.
  """

  scale: Scale = SCALE

  def __post_init__(self):
    super().__post_init__()
    object.__setattr__(self, "scale", _checked_scale(self, self.scale))

  def map(self, record: Mapping) -> dict[str, np.ndarray]:
    """Reads a record, places it, and says how to get back."""
    image = read(record)
    move = self._move(image)
    objects = self.objects(record, move)
    return self.apply(image, record["name"]) | objects | {"image_id": np.int32(record["image_id"])}

  def apply(self, image: np.ndarray, name: str) -> dict[str, np.ndarray]:
    """Places a uint8 image (H, W, C).

    Returns:
      What `place` gives, `scale (2,)` float32, the factors of y and x, and `original_size (2,)`
      int32, height and width.
    """
    move = self._move(image)
    return self.place(image, move, name) | {
      "scale": move.factors[1::-1],
      "original_size": np.array(move.old, np.int32),
    }

  def _move(self, image):
    size = image.shape[:2]
    return Move(size, resized_size(size, self.scale))


def read(record: Mapping) -> np.ndarray:
  """Image (H, W, C) uint8 of a record.

  Raises:
    ValueError: the record has no boxes; names the record.
  """
  if "boxes" not in record or "ignored" not in record:
    raise UserError(
      f"{record['name']}: this data set has no boxes of objects; set data.name to one that has, "
      "such as coco or shapes"
    )
  return record["image"]


def _set_canvas(transform: OnCanvas) -> None:
  """Makes the field a tuple of one size, or of a wide and a tall one in this order."""
  value = transform.canvas
  try:
    sizes = sorted((int(height), int(width)) for height, width in value)
  except (TypeError, ValueError):
    sizes = []
  wide_and_tall = len(sizes) == 2 and sizes[0][0] <= sizes[0][1] and sizes[1][0] >= sizes[1][1]
  if not (len(sizes) == 1 or wide_and_tall) or min(map(min, sizes)) < 1:
    raise UserError(
      f"transform.canvas is {value!r}, expected ((height, width),) or a wide and a tall one, such "
      "as ((800, 1344), (1344, 800))"
    )
  object.__setattr__(transform, "canvas", tuple(sizes))


def _checked_scale(transform: OnCanvas, value: Scale) -> Scale:
  """Two sides that fit the canvases, as far as can be said before an image is seen."""
  try:
    long, short = (int(side) for side in value)
  except (TypeError, ValueError):
    long = short = 0
  if not 0 < short <= long:
    raise UserError(f"transform: scale {value!r}, expected the long and the short side in pixels")
  for canvas in transform.canvas:
    if long > max(canvas) or short > min(canvas):
      raise UserError(
        f"transform: images of scale {(long, short)} do not fit the canvas of {canvas[1]}x"
        f"{canvas[0]} pixels"
      )
  return long, short
