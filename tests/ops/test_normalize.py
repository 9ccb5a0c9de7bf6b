"""Bytes to network inputs, by hand."""

import jax.numpy as jnp
import numpy as np
import pytest

from hrnet_jax.ops.normalize import MEAN, STD, Normalize, make_normalize
from tests.golden import recipe


def test_constants_are_those_of_the_reference() -> None:
  assert (MEAN, STD) == (recipe.MEAN, recipe.STD)


def test_channels_by_hand() -> None:
  """Red 0: -0.485 / 0.229; green 255: 0.544 / 0.224; blue 51 = 0.2: -0.206 / 0.225."""
  y = Normalize()(np.array([0, 255, 51], np.uint8).reshape(1, 1, 1, 3))
  assert y.dtype == jnp.float32
  np.testing.assert_allclose(y.ravel(), [-2.11790393, 2.42857143, -0.91555556], rtol=1e-6)


def test_all_bytes_against_float64() -> None:
  x = np.broadcast_to(np.arange(256, dtype=np.uint8)[None, None, :, None], (1, 1, 256, 3))
  expected = (x / 255 - np.array(MEAN)) / np.array(STD)
  np.testing.assert_allclose(Normalize()(jnp.asarray(x)), expected, atol=1e-6)


def test_refuses_what_may_be_normalised_already() -> None:
  with pytest.raises(ValueError, match="uint8 images, got float32"):
    Normalize()(np.zeros((1, 2, 2, 3), np.float32))


def test_other_channels_by_hand() -> None:
  normalize = make_normalize(2, mean=(0.2, 0.5), std=(0.1, 0.25))
  y = normalize(np.array([51, 255], np.uint8).reshape(1, 1, 1, 2))
  np.testing.assert_allclose(y.ravel(), [0, 2], atol=1e-6)
  assert normalize.mean_color == (51, 128)
  assert Normalize().mean_color == (124, 116, 104)  # the reference's padding
  with pytest.raises(ValueError, match=r"images have 3 channels, but model.channels is 2"):
    normalize(np.zeros((1, 1, 1, 3), np.uint8))


@pytest.mark.parametrize(
  ("channels", "options", "message"),
  [
    (5, {}, r"model.channels is 5, for which there is no common normalisation; set data.normalize"),
    (3, {"mean": (0.5,), "std": (1.0,)}, r"data.normalize.mean has 1 values, but model.channels"),
    (1, {"mean": (0.5,)}, r"data.normalize.std has 0 values, but model.channels is 1"),
    (1, {"mean": (127.0,), "std": (60.0,)}, r"expected shares of 255 grey levels"),
    (1, {"mean": (0.5,), "std": (0.0,)}, r"and std more than 0"),
  ],
)
def test_wrong_statistics_are_explained(channels: int, options: dict, message: str) -> None:
  with pytest.raises(ValueError, match=message):
    make_normalize(channels, **options)
