"""Encoded images: exact pixels, ids instead of colours, and no damaged file passes."""

import io
import os
import struct
import zlib

import numpy as np
from PIL import Image
import pytest

from hrnet_jax.data import images


def make_photo(height=40, width=50):
  return np.random.default_rng(0).integers(0, 256, (height, width, 3)).astype(np.uint8)


def save(image, kind, **options):
  stream = io.BytesIO()
  image.save(stream, kind, **options)
  return stream.getvalue()


def write_png(depth, colour_type, width, height, rows):
  """A PNG made by hand, for the kinds that no library writes."""

  def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

  header = struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, 0)
  body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
  return b"\x89PNG\r\n\x1a\n" + body


def test_png_round_trip_keeps_the_order_of_the_channels():
  photo = np.zeros((2, 3, 3), np.uint8)
  photo[..., 0], photo[..., 2] = 200, 10
  np.testing.assert_array_equal(images.decode_image(images.encode_png(photo), "a"), photo)
  np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(images.encode_png(photo)))), photo)


def test_jpeg_round_trip_is_close():
  photo = np.full((16, 16, 3), (200, 100, 10), np.uint8)
  decoded = images.decode_image(images.encode_jpeg(photo, 95), "a")
  assert np.abs(decoded.astype(int) - photo).max() <= 3


def test_grey_photo_becomes_three_channels():
  data = images.encode_png(np.array([[7, 9]], np.uint8))
  assert images.decode_image(data, "a").tolist() == [[[7, 7, 7], [9, 9, 9]]]


def test_orientation_of_the_camera_is_applied():
  exif = Image.Exif()
  exif[0x0112] = 6  # to be turned clockwise
  data = save(Image.fromarray(make_photo(40, 50)), "jpeg", exif=exif)
  assert images.decode_image(data, "a").shape == (50, 40, 3)


@pytest.mark.parametrize("kind", ["jpeg", "png"])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.999])
def test_truncated_photo_is_an_error(kind, share):
  data = save(Image.fromarray(make_photo()), kind)
  with pytest.raises(ValueError, match=r"^dir/a\.x: .*(corrupt|truncated|empty)"):
    images.decode_image(data[: int(share * len(data))], "dir/a.x")


def test_truncated_photo_with_a_thumbnail_is_an_error():
  exif = Image.Exif()
  exif[0x010E] = "\xff\xd8thumbnail\xff\xd9"
  data = save(Image.fromarray(make_photo()), "jpeg", exif=exif, comment=b"\xff\xd8\xff\xd9")
  assert data.count(b"\xff\xd9") >= 2
  with pytest.raises(ValueError, match="truncated"):
    images.decode_image(data[:-300], "a.jpg")


@pytest.mark.parametrize("kind", ["jpeg", "png"])
def test_bytes_after_the_end_are_harmless(kind):
  data = save(Image.fromarray(make_photo()), kind)
  np.testing.assert_array_equal(
    images.decode_image(data + b"\0\0\xff\xda padding", "a"), images.decode_image(data, "a")
  )


def test_changed_byte_in_a_png_is_an_error():
  data = bytearray(images.encode_png(make_photo()))
  data[300] ^= 0xFF
  with pytest.raises(ValueError, match=r"a\.png: corrupt"):
    images.decode_image(bytes(data), "a.png")


def test_text_is_not_a_photo():
  with pytest.raises(ValueError, match=r"a\.jpg: a web page; what is read"):
    images.decode_image(b"<html>not found</html>", "a.jpg")


def test_label_round_trip():
  label = np.arange(256, dtype=np.uint8).reshape(16, 16)
  np.testing.assert_array_equal(images.decode_label(images.encode_png(label), "a"), label)


@pytest.mark.parametrize("bits", [4, 8])
def test_palette_label_gives_indices_not_colours(bits):
  label = np.arange(12, dtype=np.uint8).reshape(3, 4)
  image = Image.frombytes("P", (4, 3), label.tobytes())
  colours = [(255 - index, index, 99) for index in range(2**bits)]
  image.putpalette([value for colour in colours for value in colour])
  data = save(image, "png", bits=bits)
  assert data[24:26] == bytes([bits, 3])
  np.testing.assert_array_equal(images.decode_label(data, "a"), label)


@pytest.mark.parametrize(
  ("depth", "row", "want"),
  [(1, 0b01100000, [0, 1, 1, 0]), (2, 0b00011011, [0, 1, 2, 3]), (4, 0x3C, [3, 12])],
)
def test_label_of_few_bits_gives_the_stored_values(depth, row, want):
  data = write_png(depth, 0, len(want), 1, bytes([0, row]))
  assert images.decode_label(data, "a").tolist() == [want]


@pytest.mark.parametrize(
  ("mode", "message"), [("RGB", "RGB"), ("RGBA", "RGB with alpha"), ("LA", "grey with alpha")]
)
def test_colour_label_is_an_error(mode, message):
  with pytest.raises(ValueError, match=rf"b\.png: .*colour image \({message}\).*single channel"):
    images.decode_label(save(Image.new(mode, (4, 3)), "png"), "b.png")


def test_label_of_sixteen_bits_is_an_error():
  with pytest.raises(ValueError, match=r"b\.png: .*16 bits.*8 bits"):
    images.decode_label(save(Image.new("I;16", (4, 3)), "png"), "b.png")


@pytest.mark.parametrize("data", [b"", b"\x89PNG\r\n\x1a\n", images.encode_jpeg(make_photo(), 90)])
def test_label_has_to_be_a_png(data):
  with pytest.raises(ValueError, match=r"b\.png: not a PNG"):
    images.decode_label(data, "b.png")


@pytest.mark.parametrize("share", [0.5, 0.99])
def test_truncated_label_is_an_error(share):
  data = images.encode_png(make_photo()[..., 0])
  with pytest.raises(ValueError, match=r"b\.png: corrupt"):
    images.decode_label(data[: int(share * len(data))], "b.png")


@pytest.mark.parametrize(
  "array", [np.zeros((2, 2), np.int32), np.zeros((2, 2, 4), np.uint8), np.zeros(3, np.uint8)]
)
def test_encode_png_rejects_other_arrays(array):
  with pytest.raises(ValueError, match="expected uint8"):
    images.encode_png(array)


def test_grey_photos_become_rgb():
  grey = save(Image.fromarray(make_photo()[..., 0]), "JPEG")
  assert images.decode_image(grey, "a").shape == (40, 50, 3)


@pytest.mark.parametrize("kind", ["png", "tiff"])
def test_channels_of_files(kind):
  rgba = np.random.default_rng(0).integers(0, 256, (7, 9, 4), np.uint8)
  data = save(Image.fromarray(rgba), kind)
  np.testing.assert_array_equal(images.decode_image(data, "a", 4), rgba)
  with pytest.raises(ValueError, match=r"a: a fourth channel, .* would be lost; .*channels to 4"):
    images.decode_image(data, "a")
  opaque = np.dstack([rgba[..., :3], np.full((7, 9), 255, np.uint8)])
  data = save(Image.fromarray(opaque), kind)
  np.testing.assert_array_equal(images.decode_image(data, "a"), opaque[..., :3])
  np.testing.assert_array_equal(
    images.decode_image(save(Image.fromarray(rgba[..., 0]), kind), "a", 1), rgba[..., :1]
  )
  with pytest.raises(ValueError, match=r"a: the image is uint8 \(7, 9, 3\), but model.chan.* is 4"):
    images.decode_image(save(Image.fromarray(rgba[..., :3]), kind), "a", 4)
  with pytest.raises(ValueError, match=r"a: image files .*channels is 2; .* uint8 \(H, W, 2\)"):
    images.decode_image(data, "a", 2)


def test_four_channels_are_turned_upright():
  exif = Image.Exif()
  exif[0x112] = 6
  data = io.BytesIO()
  rgba = Image.fromarray(np.zeros((4, 6, 4), np.uint8))
  rgba.save(data, "png", exif=exif)
  assert images.decode_image(data.getvalue(), "a", 4).shape == (6, 4, 4)


def test_arrays_are_images_already(tmp_path):
  array = np.zeros((2, 3, 5), np.uint8)
  assert images.decode_image(array, "a", 5) is array
  np.save(tmp_path / "a.npy", array)
  np.testing.assert_array_equal(images.read_image(tmp_path / "a.npy", 5), array)
  for wrong in (array, array.astype(np.float32), array[0]):
    with pytest.raises(ValueError, match=r"a: the image is .*, expected uint8 \(H, W, 4\)"):
      images.decode_image(wrong, "a", 4)
  (tmp_path / "b.npy").write_bytes(b"nothing")
  with pytest.raises(ValueError, match=r"b\.npy: not an array"):
    images.read_image(tmp_path / "b.npy", 5)
  header = {"descr": "|u1", "fortran_order": False, "shape": (10**6, 10**6, 5)}
  with (tmp_path / "c.npy").open("wb") as file:
    np.lib.format.write_array_header_1_0(file, header)
  with pytest.raises(ValueError, match=r"c\.npy: not an array"):  # no such memory
    images.read_image(tmp_path / "c.npy", 5)
  os.mkfifo(tmp_path / "d.npy")
  with pytest.raises(ValueError, match=r"d\.npy"):
    images.read_image(tmp_path / "d.npy", 5)
