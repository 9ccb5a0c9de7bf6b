"""Folders of photos that nobody should hand over: prepared right, or refused in one line."""

import io
import os
import zlib

import numpy as np
from PIL import Image
import pytest

from hrnet_jax.data import images, prepared
from tests.helpers import hostile

NAME = "image_folder_classification/hostile"
RGB = np.repeat(np.repeat(np.arange(48, dtype=np.uint8).reshape(4, 4, 3) * 5, 4, 0), 4, 1)
HEIC = b"\0\0\0\x18ftypheic" + b"\0" * 200
GREY16 = (RGB[..., 0].astype(np.uint16) * 257).astype(np.uint16)


def encoded(image, kind, **options):
  stream = io.BytesIO()
  (Image.fromarray(image) if isinstance(image, np.ndarray) else image).save(stream, kind, **options)
  return stream.getvalue()


def photo():
  return Image.fromarray(RGB)


def exif(value):
  tags = Image.Exif()
  tags[0x112] = value
  return tags


def frames(kind):
  return encoded(RGB, kind, save_all=True, append_images=[Image.fromarray(255 - RGB)])


@pytest.fixture
def source(tmp_path):
  """Two classes of two photos."""
  folder = tmp_path / "source"
  for name in ("a/0.png", "a/1.png", "b/0.png", "b/1.png"):
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(images.encode_png(np.zeros((6, 5, 3), np.uint8)))
  return folder


def decoded(source, name):
  """A photo of the prepared data set."""
  dataset = prepared.open_dataset(NAME, source.parent / "data")
  records = [x for split in dataset.splits() for x in dataset.source(split)]
  (record,) = [x for x in records if x["name"] == name]
  return images.decode_image(record["image"], name)


def huge(width, height, colour_type, depth=8):
  """Claims to be huge."""
  return hostile.png(width, height, depth, colour_type, zlib.compress(b"\0" * 50_000))


def claim(data, width, height):
  """A JPEG with another size in its header."""
  at = data.index(b"\xff\xc0") + 5
  return data[:at] + height.to_bytes(2, "big") + width.to_bytes(2, "big") + data[at + 4 :]


REFUSED = {
  "empty.png": (b"", "empty file"),
  "zeros.png": (b"\0" * 5000, "not an image"),
  "heic.jpg": (HEIC, "HEIC photo"),
  "avif.jpg": (HEIC.replace(b"heic", b"avif"), "AVIF"),
  "video.jpg": (HEIC.replace(b"heic", b"isom"), "a video"),
  "matroska.png": (b"\x1a\x45\xdf\xa3" + b"\0" * 99, "a video"),
  "drawing.png": (b'<svg xmlns="http://www.w3.org/2000/svg" width="9999999"/>', "an SVG"),
  "page.jpg": (b"<!DOCTYPE html><html>404</html>", "a web page"),
  "pointer.jpg": (b"version https://git-lfs.github.com/spec/v1\noid sha256:00", "Git LFS"),
  "archive.png": (b"PK\x03\x04" + b"\0" * 99, "ZIP"),
  "array.png": (b"\x93NUMPY\x01\0" + b"\0" * 99, "an array of NumPy"),
  "signature.png": (b"\x89PNG\r\n\x1a\n", "corrupt"),
  "start.jpg": (b"\xff\xd8\xff", "corrupt"),
  "bomb.png": (huge(30000, 30000, 0, 1), "30000x30000 pixels; at most"),
  "wide.png": (huge(2**31 - 1, 1, 2), "pixels; at most"),
  "tall.png": (huge(1, 2**31 - 1, 2), "pixels; at most"),
  "nothing.png": (huge(0, 5, 2), "corrupt"),
  "few rows.png": (huge(4000, 4000, 2), "corrupt"),
  "claim.jpg": (claim(encoded(RGB, "JPEG"), 30000, 30000), "30000x30000 pixels"),
  "smaller claim.jpg": (claim(encoded(RGB, "JPEG"), 6000, 6000), "cannot hold 6000x6000 pixels"),
  "animated.gif.png": (frames("GIF"), "2 pages or frames"),
  "animated.webp": (frames("WEBP"), "2 pages or frames"),
  "animated.png": (frames("PNG"), "2 pages or frames"),
  "pages.tif": (frames("TIFF"), "2 pages or frames"),
  "float.tiff": (encoded(np.ones((5, 5), np.float32), "TIFF"), "floating point"),
  "integers.tiff": (encoded(np.ones((5, 5), np.int32), "TIFF"), "values of 32 bits"),
  "dark.png": (encoded(GREY16 // 257, "PNG"), "almost black"),
  "dark.tif": (encoded(GREY16 // 257, "TIFF"), "almost black"),
  "see through.png": (encoded(photo().convert("RGBA").resize((3, 3)), "PNG"), None),
  "alpha.png": (encoded(np.full((4, 4, 4), 99, np.uint8), "PNG"), "a fourth channel"),
}
READ = {
  "plain.jpg": (encoded(RGB, "JPEG", quality=95, subsampling=0), RGB),
  "UPPER.JPEG": (encoded(RGB, "JPEG", quality=95, subsampling=0), RGB),
  "grey.jpg": (encoded(RGB[..., 0], "JPEG", quality=95), np.repeat(RGB[..., :1], 3, -1)),
  "palette.png": (encoded(photo().quantize(256), "PNG"), RGB),
  "sixteen.png": (encoded(GREY16, "PNG"), np.repeat(RGB[..., :1], 3, -1)),
  "sixteen.tif": (encoded(GREY16, "TIFF"), np.repeat(RGB[..., :1], 3, -1)),
  "one bit.png": (encoded(photo().convert("1"), "PNG"), None),
  "lossless.webp": (encoded(RGB, "WEBP", lossless=True), RGB),
  "a bitmap.bmp": (encoded(RGB, "BMP"), RGB),
  "still.gif.png": (encoded(photo().quantize(256), "GIF"), RGB),
  "turned.jpg": (encoded(RGB, "JPEG", quality=95, subsampling=0, exif=exif(6)), np.rot90(RGB, -1)),
  "odd turn.jpg": (encoded(RGB, "JPEG", quality=95, subsampling=0, exif=exif(77)), RGB),
  "no turn.jpg": (encoded(RGB, "JPEG", quality=95, subsampling=0, exif=exif(0)), RGB),
  "more after it.png": (encoded(RGB, "PNG") + b"more" * 9, RGB),
  "\x1b[31mred\x07.png": (encoded(RGB, "PNG"), RGB),
  "two\nlines.png": (encoded(RGB, "PNG"), RGB),
  "\u202eabc.png": (encoded(RGB, "PNG"), RGB),
  "n" * 250 + ".png": (encoded(RGB, "PNG"), RGB),
  "-rf.png": (encoded(RGB, "PNG"), RGB),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(source, name):
  data, message = REFUSED[name]
  (source / "a" / name).write_bytes(data)
  said = hostile.prepare(NAME, source)
  if message is None:
    assert not said
    return
  assert f"{source}/a/{name}: " in said
  assert message in said


@pytest.mark.parametrize("name", READ, ids=ascii)
def test_read(source, name):
  data, pixels = READ[name]
  (source / "a" / name).write_bytes(data)
  assert not hostile.prepare(NAME, source)
  found = decoded(source, f"a/{name[: name.rindex('.')]}")
  if pixels is not None:
    assert np.abs(found.astype(int) - pixels).max() <= 12, name


def test_cmyk(source):
  """As any other program shows it, roughly: there is no profile."""
  (source / "a/print.jpg").write_bytes(encoded(photo().convert("CMYK"), "JPEG", quality=95))
  assert not hostile.prepare(NAME, source)
  assert np.abs(decoded(source, "a/print").astype(int) - RGB).mean() < 12


LEFT_OUT = {
  "a pipe": lambda place: os.mkfifo(place / "x.png"),
  "a device": lambda place: (place / "x.png").symlink_to("/dev/zero"),
  "a broken link": lambda place: (place / "x.png").symlink_to("nowhere.png"),
  "a link to itself": lambda place: (place / "x.png").symlink_to("x.png"),
  "a file of text": lambda place: (place / "notes.txt").write_text("of the camera"),
  "without suffix": lambda place: (place / "x").write_bytes(b"\xff\xd8"),
}


@pytest.mark.parametrize("kind", LEFT_OUT)
def test_left_out_with_a_word(source, kind):
  LEFT_OUT[kind](source / "a")
  notes = []
  assert not hostile.prepare(NAME, source, notes=notes)
  assert f"note: {source}: 1 file is left out (1 " in notes[0]
  assert prepared.open_dataset(NAME, source.parent / "data").splits() == {"train": 2, "val": 2}


PASSED_OVER = {
  "hidden": lambda place: (place / "._0.png").write_bytes(b"\0\5\x16\7"),
  "thumbnails": lambda place: (place / "Thumbs.db").write_bytes(b"\xd0\xcf"),
  "a folder called x.png": lambda place: (place / "x.png").mkdir(),
  "an empty folder": lambda place: (place / "deeper").mkdir(),
}


@pytest.mark.parametrize("kind", PASSED_OVER)
def test_passed_over(source, kind):
  PASSED_OVER[kind](source / "a")
  assert not hostile.prepare(NAME, source)


FOLDERS = {
  "a cycle": (lambda place: (place / "again").symlink_to(place), "a link to a folder that it"),
  "a larger cycle": (lambda place: (place / "up").symlink_to(place.parent), "a link to a folder"),
  "two suffixes": (
    lambda place: (place / "0.jpg").write_bytes(encoded(RGB, "JPEG")),
    "the same name as",
  ),
  "not Unicode": (
    lambda place: os.mkfifo(os.fsencode(place) + b"/\xff\xfe.png"),
    r"b'\xff\xfe.png' is not text in UTF-8",
  ),
  "a class that is not Unicode": (
    lambda place: os.mkdir(os.fsencode(place.parent) + b"/\xff"),
    r"b'\xff' is not text in UTF-8",
  ),
}


@pytest.mark.parametrize("kind", FOLDERS)
def test_folders_that_are_refused(source, kind):
  damage, message = FOLDERS[kind]
  damage(source / "a")
  assert message in hostile.prepare(NAME, source)


def test_folders_too_deep(source):
  place = source / "a" / "/".join(["d"] * 40)
  place.mkdir(parents=True)
  assert hostile.prepare(NAME, source).count("\n") == 0
