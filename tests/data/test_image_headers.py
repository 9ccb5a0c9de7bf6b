"""Headers say what a decoder would drop; what is no image is named for what it is."""

import io
import struct
import zlib

import cv2
import numpy as np
from PIL import Image
import pytest

from hrnet_jax.data import images
from hrnet_jax.data.image_headers import read_header
from hrnet_jax.errors import UserError
from tests.helpers import hostile


def encoded(suffix: str, array: np.ndarray) -> bytes:
  return cv2.imencode(suffix, array)[1].tobytes()


def png_of_size(width: int, height: int) -> bytes:
  """A grey PNG that claims a size and has no pixels."""
  return hostile.png(width, height, 8, 0, zlib.compress(b""))


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tiff", ".bmp", ".webp"])
def test_every_format_is_decoded(suffix):
  rgb = np.full((6, 8, 3), (200, 40, 90), np.uint8)
  found = images.decode_image(encoded(suffix, rgb[..., ::-1]), "a")
  assert np.abs(found.astype(int) - rgb).max() <= 12  # of JPEG and WebP


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 3)])
def test_sixteen_bits_are_divided_by_257(suffix, shape):
  wide = np.random.default_rng(0).integers(0, 65536, shape).astype(np.uint16)
  wide.flat[0] = 65535
  found = images.decode_image(encoded(suffix, wide), "a")
  expected = np.round(wide / 257).astype(np.uint8)
  expected = np.stack([expected] * 3, -1) if wide.ndim == 2 else expected[..., ::-1]
  np.testing.assert_array_equal(found, expected)
  with pytest.raises(UserError, match=r"a: 16 bits a value, but the largest is 4095 of 65535"):
    images.decode_image(encoded(suffix, np.minimum(wide, 4095)), "a")


def test_what_would_be_lost_is_refused():
  pages = io.BytesIO()
  page = Image.new("RGB", (4, 4))
  page.save(pages, "tiff", save_all=True, append_images=[page, page])
  with pytest.raises(UserError, match="a: 3 pages or frames, of which one alone would be read"):
    images.decode_image(pages.getvalue(), "a")
  with pytest.raises(UserError, match="a: floating point numbers; write the image in 8 or 16"):
    images.decode_image(encoded(".tiff", np.ones((4, 4), np.float32)), "a")


def test_what_phones_put_behind_a_jpeg_is_no_page() -> None:
  data = io.BytesIO()
  photo = Image.new("RGB", (8, 6), (200, 40, 90))
  photo.save(data, "mpo", save_all=True, append_images=[photo.resize((4, 3))])
  assert images.decode_image(data.getvalue(), "a").shape == (6, 8, 3)


@pytest.mark.parametrize(
  ("data", "kind"),
  [
    (b"\0\0\0\x18ftypheic\0\0\0\0", "a HEIC photo"),
    (b"\0\0\0\x18ftypmp42\0\0\0\0", "a video"),
    (b"RIFF\0\0\0\0AVI LIST", "a video"),
    (b"<?xml version='1.0'?><svg/>", "an XML file, perhaps an SVG"),
    (b"  <svg xmlns='x'/>", "an SVG drawing"),
    (b"%PDF-1.7", "a PDF file"),
    (b"version https://git-lfs.github.com/spec/v1", "a pointer of Git LFS"),
    (b"hello", "corrupt, or not an image"),
  ],
)
def test_what_is_no_image_is_named(data, kind):
  with pytest.raises(UserError, match=rf"x\.jpg: {kind}.*; what is read are JPEG, PNG, TIFF, BMP"):
    images.decode_image(data + bytes(600), "x.jpg")


def tiff(bands: int, bits: int, byte_order: str = "<") -> bytes:
  """A TIFF image of 4 by 3 pixels, without compression, that Pillow has no mode for."""
  pixels = bytes(4 * 3 * bands * bits // 8)
  tags = [(256, 4), (257, 3), (258, bits), (259, 1), (262, 1), (273, 8), (277, bands), (278, 3),
          (279, len(pixels))]  # fmt: skip
  entries = b"".join(struct.pack(f"{byte_order}HHIHH", tag, 3, 1, x, 0) for tag, x in tags)
  mark = b"II" if byte_order == "<" else b"MM"
  head = mark + struct.pack(f"{byte_order}HI", 42, 8 + len(pixels))
  return head + pixels + struct.pack(f"{byte_order}H", len(tags)) + entries + bytes(4)


@pytest.mark.parametrize("byte_order", ["<", ">"])
@pytest.mark.parametrize(("bands", "bits"), [(2, 8), (5, 8), (4, 16)])
def test_a_tiff_of_other_bands_is_no_damage(bands, bits, byte_order):
  with pytest.raises(UserError, match=rf"a\.tif: a TIFF image of {bands} bands of {bits} bits"):
    images.decode_image(tiff(bands, bits, byte_order), "a.tif")


def test_a_tiff_of_impossible_bits_is_named_for_its_bands():
  data = tiff(2, 8).replace(
    struct.pack("<HHIHH", 258, 3, 1, 8, 0), struct.pack("<HHIHH", 258, 3, 1, 134, 0)
  )
  with pytest.raises(UserError, match=r"a\.tif: a TIFF image of 2 bands, which is not read"):
    images.decode_image(data, "a.tif")


def test_a_tiff_that_is_cut_off_is_damaged():
  with pytest.raises(UserError, match=r"a\.tif: corrupt or truncated"):
    images.decode_image(tiff(5, 8)[:-60], "a.tif")


def test_a_bomb_is_refused_before_it_is_decoded(monkeypatch):
  with pytest.raises(UserError, match="a: 30000x30000 pixels; at most 120000000 are read, unless"):
    images.decode_image(png_of_size(30000, 30000), "a")
  with pytest.raises(UserError, match="b: 20000x20000 pixels"):
    images.decode_label(png_of_size(20000, 20000), "b")
  small = encoded(".png", np.zeros((4, 5), np.uint8))
  monkeypatch.setenv("HRNET_JAX_MAX_PIXELS", "19")
  with pytest.raises(UserError, match=r"c: 5x4 pixels; at most 19 .*\$HRNET_JAX_MAX_PIXELS"):
    images.decode_image(small, "c")
  monkeypatch.setenv("HRNET_JAX_MAX_PIXELS", "many")
  with pytest.raises(UserError, match=r"MAX_PIXELS is 'many', expected a number"):
    read_header(small, "c")


def flat_png(side, depth, colour_type, packer):
  """A picture in one colour, in as few bytes as it can have."""
  channels = {0: 1, 2: 3, 3: 1, 6: 4}[colour_type]
  row = b"\0" + b"\xff" * ((side * depth * channels + 7) // 8)
  packed = b"".join([packer.compress(row) for _ in range(side)]) + packer.flush()
  return hostile.png(side, side, depth, colour_type, packed)


@pytest.mark.slow
@pytest.mark.parametrize(
  ("side", "depth", "colour_type"), [(10900, 1, 0), (10900, 8, 2), (7700, 8, 6), (7700, 16, 2)]
)
def test_the_largest_that_are_read(side, depth, colour_type):
  """A few kB that become hundreds of MB are read in bounded time and memory."""
  data = flat_png(side, depth, colour_type, zlib.compressobj(9))
  assert len(data) < 1_000_000
  with hostile.bounded():
    image = images.decode_image(data, "a")
  assert image.shape == (side, side, 3)
  assert image[0, 0].tolist() == image[-1, -1].tolist() == [255] * 3


@pytest.mark.parametrize("kind", ["bits", "alpha", "progressive"])
def test_what_takes_more_memory_has_a_lower_limit(kind, monkeypatch):
  pixels = np.full((10, 10, 3), 255, np.uint8)
  stream = io.BytesIO()
  if kind == "progressive":
    Image.fromarray(pixels).save(stream, "JPEG", progressive=True)
  elif kind == "alpha":
    Image.fromarray(pixels).convert("RGBA").save(stream, "PNG")
  else:
    stream.write(cv2.imencode(".png", pixels.astype(np.uint16) * 257)[1].tobytes())
  share = 3 if kind == "progressive" else 2
  monkeypatch.setenv("HRNET_JAX_MAX_PIXELS", str(100 * share))
  assert images.decode_image(stream.getvalue(), "a").shape == (10, 10, 3)
  monkeypatch.setenv("HRNET_JAX_MAX_PIXELS", str(100 * share - 1))
  with pytest.raises(UserError, match=r"a: 10x10 pixels; at most 99 are read"):
    images.decode_image(stream.getvalue(), "a")


def test_every_part_of_a_png_is_checked():
  """Also where a decoder would show what it has."""
  data = images.encode_png(np.arange(300, dtype=np.uint8).reshape(10, 10, 3))
  for at in range(8, len(data) - 4):
    damaged = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
    with pytest.raises(UserError, match=r"^a: "):
      images.decode_image(damaged, "a")
