"""Bytes to network inputs, by hand."""

import jax.numpy as jnp
import numpy as np
import pytest

from hrnet_jax.ops.normalize import MEAN, STD, normalize
from tests.golden import recipe


def test_constants_are_those_of_the_reference() -> None:
  assert (MEAN, STD) == (recipe.MEAN, recipe.STD)


def test_channels_by_hand() -> None:
  """Red 0: -0.485 / 0.229; green 255: 0.544 / 0.224; blue 51 = 0.2: -0.206 / 0.225."""
  y = normalize(np.array([0, 255, 51], np.uint8).reshape(1, 1, 1, 3))
  assert y.dtype == jnp.float32
  np.testing.assert_allclose(y.ravel(), [-2.11790393, 2.42857143, -0.91555556], rtol=1e-6)


def test_all_bytes_against_float64() -> None:
  x = np.broadcast_to(np.arange(256, dtype=np.uint8)[None, None, :, None], (1, 1, 256, 3))
  expected = (x / 255 - np.array(MEAN)) / np.array(STD)
  np.testing.assert_allclose(normalize(jnp.asarray(x)), expected, atol=1e-6)


def test_refuses_what_may_be_normalised_already() -> None:
  with pytest.raises(ValueError, match="uint8 images, got float32"):
    normalize(np.zeros((1, 2, 2, 3), np.float32))
