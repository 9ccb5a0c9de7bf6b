"""Label maps in colours go by `classes.txt`; palettes that contradict it are refused."""

import io
import pathlib

import numpy as np
from PIL import Image
import pytest

from hrnet_jax.data import images
from hrnet_jax.errors import UserError
from hrnet_jax.tasks.segmentation.datasets import classes_file, label_colours

COLOURS = np.array([(0, 0, 0), (128, 0, 0), (0, 128, 0)], np.uint8)
IDS = np.array([[0, 1, 2], [2, 2, 0]], np.uint8)


def classes(folder: pathlib.Path, text: str) -> classes_file.Classes:
  (folder / "classes.txt").write_text(text)
  return classes_file.read_classes(folder / "classes.txt")


@pytest.fixture
def three(tmp_path: pathlib.Path) -> classes_file.Classes:
  return classes(tmp_path, "# label:colour\nnone 0 0 0\ncar #800000\ntree 0 128 0\n")


def palette_png(colours: np.ndarray) -> bytes:
  image = Image.fromarray(IDS)
  image.putpalette(colours.ravel().tolist())
  data = io.BytesIO()
  image.save(data, "png")
  return data.getvalue()


def test_colours_become_ids(three):
  assert three.comments == (1,)
  data = images.encode_png(COLOURS[IDS])
  np.testing.assert_array_equal(label_colours.decode_label(data, "a", three), IDS)


def test_an_unknown_colour_is_named(three):
  drawn = COLOURS[IDS].copy()
  drawn[0, 1] = (127, 1, 0)
  with pytest.raises(UserError, match=r"a\.png: colours #7f0100 of no class in .*classes\.txt"):
    label_colours.decode_label(images.encode_png(drawn), "a.png", three)


def test_without_colours_in_the_file_the_message_says_what_to_do(tmp_path):
  plain = classes(tmp_path, "none\ncar 128 0 0\ntree\n")
  with pytest.raises(
    UserError, match=r"colour image; .*as in `road 128 64 128` \('none' has none\)"
  ):
    label_colours.decode_label(images.encode_png(COLOURS[IDS]), "a.png", plain)


def test_transparent_pixels_are_of_no_class(three):
  drawn = np.dstack([COLOURS[IDS], np.full(IDS.shape, 255, np.uint8)])
  for alpha in (255, 0):
    drawn[0, 0, 3] = alpha
    data = io.BytesIO()
    Image.fromarray(drawn).save(data, "png")
    if alpha:
      found = label_colours.decode_label(data.getvalue(), "a.png", three)
      np.testing.assert_array_equal(found, IDS)
    else:
      with pytest.raises(UserError, match=r"a\.png: the label has transparent pixels"):
        label_colours.decode_label(data.getvalue(), "a.png", three)


def test_palettes(three):
  for colours in (COLOURS, COLOURS + 5):  # as in classes.txt, and of nobody
    found = label_colours.decode_label(palette_png(colours), "a", three)
    np.testing.assert_array_equal(found, IDS)
  with pytest.raises(UserError, match=r"a\.png: its palette draws id 1, 'car', .*'tree', id 2"):
    label_colours.decode_label(palette_png(COLOURS[[0, 2, 1]]), "a.png", three)


def test_two_classes_of_one_colour_and_a_single_class_are_refused(tmp_path):
  with pytest.raises(UserError, match=r"line 2: 'b' has the colour of 'a', \(1, 2, 3\)"):
    classes(tmp_path, "a 1 2 3\nb #010203\n")
  with pytest.raises(UserError, match=r"one class, which every pixel would be.*background and obj"):
    classes(tmp_path, "object\n")
