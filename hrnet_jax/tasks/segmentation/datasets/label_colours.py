"""Label maps that are drawn in colours: `PNG -> (H, W)` ids, by the colours of `classes.txt`."""

import io

import numpy as np
from PIL import Image

from hrnet_jax.data import images
from hrnet_jax.data.datasets import base
from hrnet_jax.errors import UserError, some_of
from hrnet_jax.tasks.segmentation.datasets.classes_file import Classes

_ROWS = 256  # at a time
_SHOWN = 3  # colours in a message


def decode_label(data: bytes, name: str, classes: Classes) -> np.ndarray:
  """Decodes a label map of ids, or of colours if it is an RGB image.

  Args:
    data: the encoded file.
    name: what to call it in errors.
    classes: with their colours.

  Returns:
    uint8 (H, W).

  Raises:
    ValueError: as `images.decode_label`; a colour is that of no class; or a palette gives an id the
      colour of another class.
  """
  if images.is_colour_png(data):
    return _by_colour(data, name, classes)
  label = images.decode_label(data, name)
  _require_no_contradiction(data, name, label, classes)
  return label


def _by_colour(data: bytes, name: str, classes: Classes) -> np.ndarray:
  if missing := sorted(set(range(len(classes.names))) - classes.given.keys()):
    raise UserError(
      f"{name}: the label is a colour image; store class ids in a single channel, or write each "
      f"class's colour into {classes.path}, as in `road 128 64 128` "
      f"({classes.names[missing[0]]!r} has none)"
    )
  try:
    colours = images.decode_image(data, name)
  except images.TransparencyError:
    raise UserError(
      f"{name}: the label has transparent pixels, which are of no class; draw them in the colour "
      "of a class, and save it without transparency"
    ) from None
  known = {(r << 16) | (g << 8) | b: index for index, (r, g, b) in classes.given.items()}
  table, seen = np.zeros(2**24, np.uint8), np.zeros(2**24, np.bool_)
  table[list(known)] = list(known.values())
  label = np.empty(colours.shape[:2], np.uint8)
  for start in range(0, len(label), _ROWS):
    part = colours[start : start + _ROWS].astype(np.int32)
    keys = (part[..., 0] << 16) | (part[..., 1] << 8) | part[..., 2]
    seen[keys] = True
    label[start : start + _ROWS] = table[keys]
  seen[list(known)] = False
  if len(unknown := np.flatnonzero(seen)):
    shown = some_of([f"#{key:06x}" for key in unknown], _SHOWN)
    raise UserError(
      f"{name}: colours {shown} of no class in {classes.path}; labels in colours have to be "
      "stored without loss and without smooth edges"
    )
  return label


def _require_no_contradiction(data: bytes, name: str, label: np.ndarray, classes: Classes) -> None:
  """A palette that paints an id in the colour of another class was made for other ids."""
  if not classes.given:
    return
  with Image.open(io.BytesIO(data)) as image:
    if image.mode != "P":
      return
    palette = np.array(image.getpalette("RGB") or (), np.uint8).reshape(-1, 3)
  owners = {colour: index for index, colour in classes.given.items()}
  for index in np.flatnonzero(images.count_ids(label)):
    if index == base.IGNORED or index >= len(palette) or index >= len(classes.names):
      continue
    owner = owners.get(tuple(int(x) for x in palette[index]), index)
    if owner != index and classes.given.get(int(index)) != tuple(palette[index]):
      raise UserError(
        f"{name}: its palette draws id {index}, {classes.names[index]!r}, in the colour that "
        f"{classes.path} gives to {classes.names[owner]!r}, id {owner}; save the label with the "
        "ids of classes.txt, or as RGB to go by colour, or remove the colours from classes.txt to "
        "go by id"
      )
