"""Colour normalisation on the device: `uint8 (B, H, W, 3) -> float32 (B, H, W, 3)`."""

import jax
import jax.numpy as jnp
import numpy as np

# ImageNet statistics in RGB order, used by every reference checkpoint.
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


def normalize(images: jax.Array | np.ndarray) -> jax.Array:
  """Maps RGB bytes to the network's input.

  Images travel to the device as bytes, a quarter of the traffic of float32.

  Args:
    images: `(B, H, W, 3)` uint8, RGB.

  Returns:
    `(images / 255 - MEAN) / STD` in float32.

  Raises:
    ValueError: the array is not uint8, so it may have been normalised already.
  """
  if images.dtype != np.uint8:
    raise ValueError(f"normalize expects uint8 images, got {images.dtype}")
  scaled = jnp.asarray(images).astype(jnp.float32) / 255.0
  return (scaled - jnp.asarray(MEAN, jnp.float32)) / jnp.asarray(STD, jnp.float32)
