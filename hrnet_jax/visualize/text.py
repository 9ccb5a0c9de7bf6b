"""Text in pictures: fonts of a size that suits the picture, titles that fit."""

from PIL import ImageFont


def size_for(width: int) -> int:
  """Font size in pixels for a picture of this width."""
  return max(13, round(width / 75))


def font(size: int) -> ImageFont.FreeTypeFont:
  """The font of every picture."""
  return ImageFont.load_default(size)


def shorten(text: str, size: int, width: float) -> str:
  """Cuts a text to `width` pixels; an ellipsis says that something is missing."""
  letters = font(size)
  if letters.getlength(text) <= width:
    return text
  while text and letters.getlength(text + "…") > width:
    text = text[:-1].rstrip()
  return text + "…" if text else ""
