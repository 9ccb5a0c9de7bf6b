"""Whole images for testing: `-> uint8 (H, W, C)` as the network sees it, `(h, w)` labels.

The label keeps its own size, at which scores are compared with it, whatever happens to the image.
Sources: `__getitem__` for the lists `testval` in lib/datasets/ of the segmentation repository.
"""

from collections.abc import Mapping
import dataclasses

from grain import transforms
import numpy as np

from hrnet_jax.data import geometry
from hrnet_jax.ops.normalize import IMAGENET
from hrnet_jax.tasks.segmentation.transforms import read


@dataclasses.dataclass(frozen=True)
class WholeImage(transforms.Map):
  """Record `-> {"image": (H, W, C), "label": (h, w), "content": (2,) int32}`.

  `content` is the height and width of that part of the image which the label is of.

  Attributes:
    resize: `(height, width)` to which the image is stretched; None keeps it.
    short_side: to which its short side is brought; None keeps it.
    stride: after `short_side`, both sides are padded to a multiple of this.
    keep_padding: whether the label stands for the padded image, as the reference has it for ADE20K.
    padding: its colour, a number for each channel. The reference pads with its mean colour, rounded
      in 8 bits.
  """

  resize: tuple[int, int] | None = None
  short_side: int | None = None
  stride: int = 8
  keep_padding: bool = False
  padding: tuple[int, ...] = IMAGENET.mean_color

  def __post_init__(self):
    geometry.set_size(self, "resize", optional=True)

  def map(self, record: Mapping) -> dict[str, np.ndarray]:
    """Reads a record and prepares its image."""
    image, label = read(record)
    return self.apply(image, label)

  def apply(self, image: np.ndarray, label: np.ndarray) -> dict[str, np.ndarray]:
    """Prepares a uint8 image (H, W, C); the label is passed on."""
    if self.resize is not None:
      image = geometry.resize_image(image, self.resize)
    content = image.shape[:2]
    if self.short_side is not None:
      content = geometry.short_side_size(content, self.short_side)
      image = _pad(geometry.resize_image(image, content), self.stride, self.padding)
      content = image.shape[:2] if self.keep_padding else content
    return {"image": image, "label": label, "content": np.asarray(content, np.int32)}


def _pad(image: np.ndarray, stride: int, colour: tuple[int, ...]) -> np.ndarray:
  height, width = (-(-n // stride) * stride for n in image.shape[:2])
  padded = np.empty((height, width, image.shape[2]), np.uint8)
  padded[:] = colour
  padded[: image.shape[0], : image.shape[1]] = image
  return padded
