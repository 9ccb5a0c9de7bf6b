"""Files of images that end too early: seven formats, each cut at eleven places, are refused."""

import io

import numpy as np
from PIL import Image
import pytest

from hrnet_jax.data import images
from hrnet_jax.errors import UserError
from tests.helpers import hostile

SHARES = (0, 0.001, 0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.97)
FORMATS = {
  "JPEG": {"quality": 95, "subsampling": 0},
  "progressive JPEG": {"format": "JPEG", "quality": 95, "subsampling": 0, "progressive": True},
  "PNG": {},
  "BMP": {},
  "TIFF": {"compression": "tiff_adobe_deflate"},
  "WEBP": {"lossless": True},
  "GIF": {},
}


def photo():
  """Few colours in blocks, so that every format can hold it."""
  few = np.random.default_rng(0).integers(0, 2, (6, 8, 3)).astype(np.uint8) * 255
  return np.repeat(np.repeat(few, 16, 0), 16, 1)


def encoded(name):
  options = dict(FORMATS[name])
  stream = io.BytesIO()
  Image.fromarray(photo()).save(stream, options.pop("format", name), **options)
  return stream.getvalue()


@pytest.mark.parametrize("name", FORMATS)
def test_whole_files_are_read(name):
  found = images.decode_image(encoded(name), name).astype(int)
  assert np.abs(found - photo()).mean() < (4 if "JPEG" in name else 0.01)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("cut", [*SHARES, -1])
def test_cut_files_are_refused(name, cut):
  data = encoded(name)
  length = len(data) - 1 if cut == -1 else int(cut * len(data))
  message = ""
  with hostile.bounded():
    try:
      found = images.decode_image(data[:length], f"{name}.x")
    except UserError as error:
      message = str(error)
  if not message:  # what is missing comes after the end of the picture
    assert cut == -1
    np.testing.assert_array_equal(found, images.decode_image(data, name))
  else:
    assert message.startswith(f"{name}.x: ")
    assert "\n" not in message
