"""Colour normalisation on the device: `uint8 (B, H, W, C) -> float32 (B, H, W, C)`."""

from collections.abc import Sequence
import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from hrnet_jax.errors import UserError

# ImageNet statistics in RGB order, used by every reference checkpoint.
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


@dataclasses.dataclass(frozen=True)
class Normalize:
  """Maps bytes to the network's input: `(images / 255 - mean) / std` in float32.

  Images travel to the device as bytes, a quarter of the traffic of float32.

  Attributes:
    mean: one number per channel, in units of 255 grey levels.
    std: one number per channel, likewise.
  """

  mean: tuple[float, ...] = MEAN
  std: tuple[float, ...] = STD

  @property
  def channels(self) -> int:
    """C."""
    return len(self.mean)

  @property
  def mean_color(self) -> tuple[int, ...]:
    """The mean in grey levels: a padding that the network sees as nearly zero."""
    return tuple(round(255 * x) for x in self.mean)

  def __call__(self, images: jax.Array | np.ndarray) -> jax.Array:
    """Normalises images `(..., C)` uint8.

    Raises:
      ValueError: the array is not uint8, so it may have been normalised already, or it has another
        number of channels.
    """
    if images.dtype != np.uint8:
      raise ValueError(f"normalize expects uint8 images, got {images.dtype}")
    if images.shape[-1] != self.channels:
      raise UserError(
        f"the images have {images.shape[-1]} channels, but model.channels is {self.channels}"
      )
    scaled = jnp.asarray(images).astype(jnp.float32) / 255.0
    return (scaled - jnp.asarray(self.mean, jnp.float32)) / jnp.asarray(self.std, jnp.float32)


IMAGENET = Normalize()


def make_normalize(
  channels: int = 3, *, mean: Sequence[float] = (), std: Sequence[float] = ()
) -> Normalize:
  """The normalisation that a config asks for: `make_normalize(channels, **config.data.normalize)`.

  Args:
    channels: `config.model.channels`.
    mean: of each channel over the training data, in [0, 1]; with `std` empty, ImageNet's.
    std: standard deviation of each channel, in the same unit.

  Raises:
    ValueError: one of them is missing, has another number of values, or is no statistic of images.
  """
  example = f"{{'mean': ({channels} numbers), 'std': ({channels} numbers)}}"
  if not mean and not std:
    if channels != len(MEAN):
      raise UserError(
        f"model.channels is {channels}, for which there is no common normalisation; set "
        f"data.normalize to {example}, the statistics of your training images in [0, 1]"
      )
    return IMAGENET
  for name, values in (("mean", mean), ("std", std)):
    if len(values) != channels:
      raise UserError(
        f"data.normalize.{name} has {len(values)} values, but model.channels is {channels}; "
        f"expected {example}"
      )
  if not all(0 <= x <= 1 for x in mean) or not all(0 < x <= 1 for x in std):
    raise UserError(
      f"data.normalize is mean {tuple(mean)} and std {tuple(std)}; expected shares of 255 grey "
      "levels, in [0, 1], and std more than 0"
    )
  return Normalize(tuple(map(float, mean)), tuple(map(float, std)))
