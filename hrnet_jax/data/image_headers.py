"""Beginnings of image files: `bytes -> Header`, without decoding the image.

Decoders take what they understand and drop the rest without a word: the second page, the fourth
band, the lower half of 16 bits. A header says what there is before that happens.
"""

import dataclasses
import io
import os
import zlib

from PIL import Image, TiffImagePlugin, UnidentifiedImageError

from hrnet_jax.errors import UserError

LIMIT_VARIABLE = "HRNET_JAX_MAX_PIXELS"
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_MOST_PIXELS = 120_000_000  # which take less than a GiB
_BITS_PER_SAMPLE, _SAMPLES, _SAMPLE_FORMAT = 258, 277, 339  # TIFF tags
_JPEG_HEADER = 2**16  # bytes before the first scan, seldom more
_READ = "what is read are JPEG, PNG, TIFF, BMP and WebP"
_ANCILLARY = 32  # bit of a kind of part of a PNG that decoders may pass over
_FLOAT = 3  # of the sample format
_MOST_BITS = 64  # of a value
_READ_BANDS = ((1, 1), (1, 8), (1, 16), (3, 8), (3, 16), (4, 8))  # of TIFF, and their bits
# Pillow has a limit of its own, half of ours, that cannot be told from damage.
Image.MAX_IMAGE_PIXELS = None

_OURS = (b"\xff\xd8", PNG_SIGNATURE, b"II*\0", b"MM\0*", b"BM")
# What people take for an image, by how it begins: offset, bytes, name.
_OTHER_KINDS = (
  (4, b"ftypheic", "a HEIC photo, as phones take them"),
  (4, b"ftypheix", "a HEIC photo, as phones take them"),
  (4, b"ftypmif1", "a HEIF photo, as phones take them"),
  (4, b"ftypavif", "an AVIF image"),
  (4, b"ftyp", "a video"),
  (0, b"\x1a\x45\xdf\xa3", "a video"),
  (8, b"AVI ", "a video"),
  (0, b"\x00\x00\x01\xba", "a video"),
  (0, b"%PDF", "a PDF file"),
  (0, b"<svg", "an SVG drawing"),
  (0, b"<?xml", "an XML file, perhaps an SVG drawing"),
  (0, b"<!DOCTYPE", "a web page"),
  (0, b"<html", "a web page"),
  (0, b"PK\x03\x04", "a ZIP archive"),
  (0, b"\x1f\x8b", "a gzip archive"),
  (0, b"8BPS", "a Photoshop file"),
  (0, b"\x76\x2f\x31\x01", "an OpenEXR image"),
  (0, b"\x93NUMPY", "an array of NumPy"),
  (0, b"version https://git-lfs", "a pointer of Git LFS, not the file itself"),
)


@dataclasses.dataclass(frozen=True)
class Header:
  """All that a file says about its image before it is decoded.

  Attributes:
    kind: `JPEG`, `PNG`, ..., as Pillow calls it.
    size: height and width as stored.
    mode: of Pillow.
    bits: of a value.
    is_float: whether values are floating point numbers.
    pages: or frames.
    has_alpha: whether there is a band of transparency, or a transparent colour.
  """

  kind: str
  size: tuple[int, int]
  mode: str
  bits: int
  is_float: bool
  pages: int
  has_alpha: bool


def read_header(data: bytes, name: str) -> Header:
  """Reads the header of an encoded image.

  Args:
    data: the whole file.
    name: what to call the image in errors.

  Raises:
    ValueError: not an image, named for what it is where that is known, or one of more pixels than
      $HRNET_JAX_MAX_PIXELS, by default 120 million; half as many with 16 bits or
      transparency, a third in progressive JPEG files, which take more memory.
  """
  if not data:
    raise UserError(f"{name}: empty file; replace it by an intact copy")
  try:
    with Image.open(io.BytesIO(data)) as image:
      header = _describe(image, data)
  except UnidentifiedImageError as error:  # its own text shows a memory address
    raise UserError(_what_it_is(data, name)) from error
  except Exception as error:  # damaged bytes can fail in any way inside Pillow
    raise UserError(
      f"{name}: corrupt or truncated ({error}); replace the file by an intact copy"
    ) from error
  height, width = header.size
  limit = _limit() // _memory(header, data)
  if height * width > limit:
    raise UserError(
      f"{name}: {width}x{height} pixels; at most {limit} are read, unless "
      f"${LIMIT_VARIABLE} is a larger number"
    )
  # Every block of 8 by 8 pixels takes a bit at least.
  if header.kind in ("JPEG", "MPO") and height * width > 512 * len(data):
    raise UserError(
      f"{name}: corrupt or truncated ({len(data)} bytes cannot hold {width}x{height} pixels); "
      "replace the file by an intact copy"
    )
  return header


def _memory(header: Header, data: bytes) -> int:
  """How many times the memory of 8-bit RGB decoding takes, roughly."""
  if b"\xff\xc2" in data[:_JPEG_HEADER] and header.kind in ("JPEG", "MPO"):
    return 3  # progressive: the coefficients of the whole image
  return 2 if header.bits > 8 or header.has_alpha else 1


def _describe(image: Image.Image, data: bytes) -> Header:
  bits, is_float = 8, False
  if data.startswith(PNG_SIGNATURE):
    bits = data[24]
  elif isinstance(image, TiffImagePlugin.TiffImageFile):
    bits = max(image.tag_v2.get(_BITS_PER_SAMPLE, (1,)))
    is_float = _FLOAT in _numbers(image.tag_v2.get(_SAMPLE_FORMAT, ()))
  elif image.mode.startswith(("I", "F")):
    bits, is_float = 32 if image.mode in ("I", "F") else 16, image.mode == "F"
  return Header(
    kind=image.format or "",
    size=(image.height, image.width),
    mode=image.mode,
    bits=bits,
    is_float=is_float,
    # Phones put previews and the like behind a JPEG (MPO); viewers show the first picture alone.
    pages=1 if image.format == "MPO" else getattr(image, "n_frames", 1),
    has_alpha=image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info,
  )


def _numbers(value: int | tuple[int, ...]) -> tuple[int, ...]:
  return value if isinstance(value, tuple) else (value,)


def _what_it_is(data: bytes, name: str) -> str:
  if bands := _bands_of_tiff(data):
    return (
      f"{name}: a TIFF image of {bands}, which is not read; write 1, 3 or 4 bands of 8 bits, or 1 "
      "or 3 of 16"
    )
  if data.startswith(_OURS) or data[8:12] == b"WEBP":
    return f"{name}: corrupt or truncated; replace the file by an intact copy"
  begin = data[:512].lstrip()
  for offset, mark, kind in _OTHER_KINDS:
    if data[offset:].startswith(mark) or (not offset and begin.startswith(mark)):
      return f"{name}: {kind}; {_READ}"
  return f"{name}: corrupt, or not an image; {_READ}"


def _bands_of_tiff(data: bytes) -> str:
  """Describes the values of a TIFF file that Pillow has no mode for; empty if it is damaged."""
  if not data.startswith((b"II*\0", b"MM\0*")):
    return ""
  try:
    tags = TiffImagePlugin.ImageFileDirectory_v2(data[:8])
    file = io.BytesIO(data)
    file.seek(tags.next)
    tags.load(file)
    largest = max(map(int, bits := _numbers(tags.get(_BITS_PER_SAMPLE, 1))))
    bands = int(_numbers(tags.get(_SAMPLES, len(bits)))[0])
    is_float = _FLOAT in _numbers(tags.get(_SAMPLE_FORMAT, 1))
  except Exception:  # damaged bytes can fail in any way inside Pillow
    return ""
  if not is_float and (bands, largest) in _READ_BANDS:  # something else is wrong
    return ""
  kind = " of floating point numbers" if is_float else f" of {largest} bits"
  if largest > _MOST_BITS:  # some programs write where they are, not what
    kind = ""
  return f"{bands} band{'s' if bands != 1 else ''}{kind}"


def require_intact_png(data: bytes, name: str) -> None:
  """Decoders show what they have of a PNG; its checksums tell whether that is what was written.

  What comes after the end of the image is harmless, and so is damage of what is not the image.

  Raises:
    UserError: a part is damaged or missing.
  """
  at, kind = len(PNG_SIGNATURE), b""
  while kind != b"IEND":
    length, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
    checksum = data[at + 8 + length : at + 12 + length]
    if len(checksum) < 4:
      raise UserError(f"{name}: corrupt or truncated; replace the file by an intact copy")
    found = zlib.crc32(memoryview(data)[at + 4 : at + 8 + length])
    if not kind[0] & _ANCILLARY and found != int.from_bytes(checksum, "big"):
      raise UserError(
        f"{name}: corrupt or truncated (the checksum of a part is wrong); replace the file by an "
        "intact copy"
      )
    at += 12 + length


def _limit() -> int:
  text = os.environ.get(LIMIT_VARIABLE) or str(_MOST_PIXELS)
  if not text.isdecimal() or not int(text):
    raise UserError(f"${LIMIT_VARIABLE} is {text!r}, expected a number of pixels")
  return int(text)
