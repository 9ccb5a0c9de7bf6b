"""Encoded images to arrays and back: `bytes <-> (H, W, C) or (H, W) ids`, all uint8."""

import io
import pathlib

import cv2
import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from hrnet_jax.data.image_headers import (
  PNG_SIGNATURE,
  Header,
  read_header,
  require_intact_png,
)
from hrnet_jax.data.regular_files import read_regular
from hrnet_jax.errors import UserError

ARRAY_SUFFIX = ".npy"
_FILE_CHANNELS = (1, 3, 4)
_LEAST_OF_16_BITS = 4096  # below, the four highest bits are unused
_EIGHT_BITS = ((np.arange(2**16) + 128) // 257).astype(np.uint8)  # of a value of 16
_ORIENTATION = 0x112  # EXIF
_IN_PLACE, _QUARTER_TURNS = (2, 3, 4), (5, 6, 7, 8)  # its values: mirrors and half turns; quarters
# The tag, its type and count as they stand in a file, and the value 1, in both byte orders.
_UPRIGHT = {
  b"\x12\x01\x03\x00\x01\x00\x00\x00": b"\x01\x00",
  b"\x01\x12\x00\x03\x00\x00\x00\x01": b"\x00\x01",
}
_GREY = 0  # PNG colour types; see section 11.2.1 of the PNG specification
_PALETTE = 3
_COLOUR_TYPES = {0: "grey", 2: "RGB", 3: "palette", 4: "grey with alpha", 6: "RGB with alpha"}


class TransparencyError(UserError):
  """An image that has a fourth channel where there is no place for it."""


def decode_image(data: bytes | np.ndarray, name: str, channels: int = 3) -> np.ndarray:
  """Decodes a JPEG, PNG, TIFF, BMP or WebP file; an array is an image already, and is checked.

  The orientation stored by cameras (EXIF) is applied, so that the result is what viewers show. Of
  16 bits x becomes round(x / 257).

  Args:
    data: the encoded file, or uint8 (H, W, C).
    name: what to call the image in errors, usually its path.
    channels: C. With 1 the image is turned to grey, with 3 to RGB; with 4 the file must have as
      many, such as red, green, blue and alpha. Other numbers are for arrays.

  Returns:
    uint8 (H, W, C).

  Raises:
    ValueError: the bytes are not an image, or not all of it; or it has what would be lost: other
      channels, several pages, transparency, more than 16 bits or 16 bits of which few are used.
  """
  if isinstance(data, np.ndarray):
    if data.dtype != np.uint8 or data.ndim != 3 or data.shape[2] != channels:
      raise UserError(
        f"{name}: the image is {data.dtype} {data.shape}, expected uint8 (H, W, {channels}), where "
        f"model.channels is {channels}"
      )
    return data
  if channels not in _FILE_CHANNELS:
    raise UserError(
      f"{name}: image files are read with 1, 3 or 4 channels, but model.channels is {channels}; "
      f"store such images as arrays, uint8 (H, W, {channels})"
    )
  header = read_header(data, name)
  _require_no_loss(header, data, name, channels)
  _require_complete(data, name)
  if header.bits == 16:
    return _decode_16_bits(data, name, channels)
  if channels == 3:
    return _decode(data, cv2.IMREAD_COLOR_RGB, name)
  if channels == 1:
    return _decode(data, cv2.IMREAD_GRAYSCALE, name)[..., None]
  # OpenCV would not turn an image upright that it does not convert.
  image = np.asarray(ImageOps.exif_transpose(_load_strictly(data, name)))
  if image.dtype != np.uint8 or image.shape[2:] != (4,):
    raise UserError(
      f"{name}: the image is {image.dtype} {image.shape}, but model.channels is 4; expected 4 "
      "channels of 8 bits"
    )
  return image


def read_image(path: pathlib.Path, channels: int = 3) -> np.ndarray:
  """Reads an image file, or an array from a `.npy` file; see `decode_image`."""
  if path.suffix != ARRAY_SUFFIX:
    return decode_image(read_regular(path), str(path), channels)
  try:
    array = np.load(io.BytesIO(read_regular(path)), allow_pickle=False)
    return decode_image(array, str(path), channels)
  except (EOFError, ValueError, MemoryError) as error:
    text = str(error)
    raise UserError(text if str(path) in text else f"{path}: not an array: {text}") from None


def decode_label(data: bytes, name: str) -> np.ndarray:
  """Decodes a map of class or instance ids from a single-channel PNG.

  A palette PNG gives its indices, never the colours they stand for, and one with fewer than
  eight bits a pixel gives the stored values, not values stretched to 0..255.

  Args:
    data: the encoded file.
    name: what to call the label in errors, usually its path.

  Returns:
    uint8 (H, W).

  Raises:
    ValueError: not a PNG, not complete, more than one channel or more than eight bits.
  """
  if not data.startswith(PNG_SIGNATURE) or len(data) < 26:
    raise UserError(f"{name}: not a PNG{_empty(data)}; labels are single-channel 8-bit PNG files")
  read_header(data, name)
  depth, colour_type = data[24], data[25]
  if colour_type not in (_GREY, _PALETTE):
    kind = _COLOUR_TYPES.get(colour_type, f"unknown colour type {colour_type}")
    raise UserError(
      f"{name}: the label is a colour image ({kind}); store class ids in a single channel"
    )
  if depth > 8:
    raise UserError(f"{name}: the label has {depth} bits a pixel; store class ids in 8 bits")
  _require_complete(data, name)
  if colour_type == _GREY and depth == 8:
    return _decode(data, cv2.IMREAD_GRAYSCALE, name)
  return _decode_indices(data, name, depth, colour_type)


def is_colour_png(data: bytes) -> bool:
  """Whether these are the bytes of a PNG with colours: RGB, with alpha or not, but no palette."""
  return data.startswith(PNG_SIGNATURE) and data[25:26] in (b"\x02", b"\x06")


def count_ids(label: np.ndarray, least: int = 256) -> np.ndarray:
  """How often each value occurs in an array of whole numbers from 0, at least `least` counts.

  NumPy would widen the whole array to 64 bits first.
  """
  flat, parts = label.reshape(-1), []
  for start in range(0, max(len(flat), 1), 2**20):
    parts.append(np.bincount(flat[start : start + 2**20], minlength=least))
  total = np.zeros(max(map(len, parts)), np.int64)
  for part in parts:
    total[: len(part)] += part
  return total


def encode_png(array: np.ndarray) -> bytes:
  """Encodes uint8 (H, W) or RGB (H, W, 3) as PNG, without loss.

  Raises:
    ValueError: another type or shape.
  """
  if array.dtype != np.uint8 or array.ndim not in (2, 3) or array.shape[2:] not in ((), (3,)):
    raise ValueError(f"expected uint8 (H, W) or (H, W, 3), got {array.dtype} {array.shape}")
  return cv2.imencode(".png", array[..., ::-1] if array.ndim == 3 else array)[1].tobytes()


def encode_jpeg(array: np.ndarray, quality: int) -> bytes:
  """Encodes uint8 RGB (H, W, 3) as JPEG of a quality from 1 to 100."""
  return cv2.imencode(".jpg", array[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()


def forget_orientation(data: bytes) -> bytes:
  """The same file with the camera's note of orientation, if there is one, set to "upright".

  Decoders of this package obey the note, as viewers do; points that were placed on the stored
  pixels would then lie elsewhere. Pixels and length of the file do not change.
  """
  if not data.startswith(b"\xff\xd8") or _orientation(data) in (None, 1):
    return data
  for entry, upright in _UPRIGHT.items():
    at = data.find(entry, 0, 2**16)
    if at >= 0:
      return data[: at + len(entry)] + upright + data[at + len(entry) + 2 :]
  return data


def is_turned_in_place(data: bytes) -> bool:
  """Whether decoding turns or mirrors an image, by its note of orientation, and its size stays."""
  if data.startswith(PNG_SIGNATURE) and b"eXIf" not in data:  # Pillow would decode all of it
    return False
  try:
    with Image.open(io.BytesIO(data)) as image:
      orientation, (width, height) = image.getexif().get(_ORIENTATION), image.size
  except Exception:  # the decoder passes over notes that are damaged
    return False
  return orientation in _IN_PLACE or (orientation in _QUARTER_TURNS and width == height)


def _orientation(data):
  try:
    with Image.open(io.BytesIO(data)) as image:
      return image.getexif().get(_ORIENTATION)
  except OSError:  # not an image: the decoder says so, with the name
    return None


def _decode(data, mode, name):
  try:
    image = cv2.imdecode(np.frombuffer(data, np.uint8), mode)
  except cv2.error as error:
    raise UserError(f"{name}: cannot be decoded ({error.err})") from error
  if image is None:
    raise UserError(f"{name}: corrupt, cannot be decoded; replace the file by an intact copy")
  return image


def _decode_16_bits(data, name, channels):
  if _orientation(data) not in (None, 1):
    raise UserError(f"{name}: 16 bits a value and a note to turn it; save the image upright")
  image = _decode(data, cv2.IMREAD_UNCHANGED, name)  # other modes take TIFF for something else
  if channels == 1 and image.ndim == 3:
    image = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
  largest = int(image.max())
  if largest < _LEAST_OF_16_BITS:
    raise UserError(
      f"{name}: 16 bits a value, but the largest is {largest} of 65535, so the image would be "
      "almost black; write it with values up to 65535, or in 8 bits"
    )
  image = _EIGHT_BITS[image]
  if image.ndim == 3:
    return np.ascontiguousarray(image[..., 2::-1])
  return image[..., None] if channels == 1 else np.repeat(image[..., None], 3, -1)


def _require_no_loss(header: Header, data: bytes, name: str, channels: int) -> None:
  """Refuses an image of which a part would vanish."""
  if header.pages > 1:
    raise UserError(
      f"{name}: {header.pages} pages or frames, of which one alone would be read; write a file for "
      "each"
    )
  if header.is_float or header.bits > 16 or (header.bits == 16 and channels == 4):
    kind = "floating point numbers" if header.is_float else f"values of {header.bits} bits"
    raise UserError(f"{name}: {kind}; write the image in 8 or 16 bits")
  if header.has_alpha and channels != 4:
    alpha = _load_strictly(data, name).convert("RGBA").getchannel("A")
    if alpha.getextrema() != (255, 255):
      raise TransparencyError(
        f"{name}: a fourth channel, transparency or a band, would be lost; remove it, or set "
        "model.channels to 4"
      )


def _decode_indices(data, name, depth, colour_type):
  values = np.asarray(_load_strictly(data, name)).astype(np.uint8)
  # Pillow stretches grey of two and four bits to 0..255, but not grey of one bit.
  return values // (255 // (2**depth - 1)) if colour_type == _GREY and depth > 1 else values


def _require_complete(data, name):
  """OpenCV fills the missing end of a truncated file with grey and says nothing."""
  if data.startswith(PNG_SIGNATURE):
    require_intact_png(data, name)
  # Thumbnails inside the header end with the same marker, hence "after the last scan".
  if data.startswith(b"\xff\xd8") and data.rfind(b"\xff\xd9") <= data.rfind(b"\xff\xda"):
    _load_strictly(data, name)  # bytes appended after the end are harmless; this one can tell


def _load_strictly(data, name):
  try:
    image = Image.open(io.BytesIO(data))
    image.load()
  except UnidentifiedImageError as error:  # its own text shows a memory address
    raise UserError(f"{name}: corrupt or truncated; replace the file by an intact copy") from error
  except Exception as error:  # damaged bytes can fail in any way inside Pillow
    raise UserError(
      f"{name}: corrupt or truncated ({error}); replace the file by an intact copy"
    ) from error
  return image


def _empty(data):
  return " (empty file)" if not data else ""
