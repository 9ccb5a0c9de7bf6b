"""Label maps and lists that nobody should hand over: prepared right, or refused in one line."""

import io
import os
import zlib

import numpy as np
from PIL import Image
import pytest

from hrnet_jax.data import images, prepared
from tests.helpers import hostile, miniatures

NAME = "image_folder_segmentation/hostile"
IDS = np.array([[0, 1, 2], [2, 255, 0]], np.uint8)
COLOURS = "ground 0 0 0\nred 128 0 0\ngreen 0 128 0\n"


def encoded(image, kind="PNG", **options):
  stream = io.BytesIO()
  image.save(stream, kind, **options)
  return stream.getvalue()


def palette(*colours):
  image = Image.fromarray(np.minimum(IDS, 3), "P")
  image.putpalette(np.array(colours, np.uint8).reshape(-1).tolist())
  return encoded(image)


@pytest.fixture
def source(tmp_path):
  """Three photos with labels; the tests change `labels/a.png`."""
  folder = tmp_path / "source"
  for name in "abc":
    for kind in ("images", "labels"):
      (folder / kind).mkdir(parents=True, exist_ok=True)
    photo = np.full((*IDS.shape, 3), 7, np.uint8)
    (folder / f"images/{name}.png").write_bytes(images.encode_png(photo))
    (folder / f"labels/{name}.png").write_bytes(images.encode_png(IDS))
  (folder / "classes.txt").write_text("ground\nred\ngreen\n")
  return folder


def label_of(source):
  """The prepared label of `a`."""
  dataset = prepared.open_dataset(NAME, source.parent / "data")
  records = [x for split in dataset.splits() for x in dataset.source(split)]
  (record,) = [x for x in records if x["name"] == "a"]
  return images.decode_label(record["label"], "a")


def grey(array, **options):
  return encoded(Image.fromarray(array), **options)


REFUSED = {
  "empty": (b"", "not a PNG (empty file)"),
  "a JPEG": (encoded(Image.fromarray(IDS), "JPEG"), "not a PNG"),
  "a signature": (b"\x89PNG\r\n\x1a\n", "not a PNG"),
  "cut off": (images.encode_png(IDS)[:-13], "corrupt or truncated"),
  "a flipped bit": (
    images.encode_png(IDS).replace(b"IDAT", b"IDAU"), "corrupt"),
  "a palette of 20000x20000": (
    hostile.png(20000, 20000, 8, 3, zlib.compress(b"\0" * 99)), "20000x20000 pixels; at most"),
  "one bit of 30000x30000": (
    hostile.png(30000, 30000, 1, 0, zlib.compress(b"\0" * 99)), "30000x30000 pixels; at most"),
  "another size": (images.encode_png(np.zeros((9, 9), np.uint8)), "but its image"),
  "turned": (images.encode_png(np.ascontiguousarray(IDS.T)), "but its image"),
  "16 bits": (grey(IDS.astype(np.uint16)), "16 bits a pixel"),
  "an unknown id": (grey(IDS + 3), "value 3 in"),
  "alpha": (encoded(Image.fromarray(np.dstack([IDS, IDS]), "LA")), "colour image (grey with alpha"),
  "an unknown colour": (grey(np.dstack([IDS] * 3)), "is a colour image"),
  "no size": (hostile.png(0, 0, 8, 0, zlib.compress(b"")), "corrupt"),
  "an unknown colour type": (hostile.png(3, 2, 8, 5, zlib.compress(b"\0" * 8)), "corrupt"),
  "3 bits": (hostile.png(3, 2, 3, 0, zlib.compress(b"\0" * 8)), "corrupt"),
}  # fmt: skip


@pytest.mark.parametrize("kind", REFUSED)
def test_refused(source, kind):
  data, message = REFUSED[kind]
  (source / "labels/a.png").write_bytes(data)
  said = hostile.prepare(NAME, source)
  assert message in said
  assert f"{source}/labels/a.png" in said


READ = {
  "grey": (images.encode_png(IDS), IDS),
  "a palette": (palette((0, 0, 0), (128, 0, 0), (0, 128, 0), (9, 9, 9)), None),
  "interlaced or not": (grey(IDS, optimize=True), IDS),
  "more after the end": (images.encode_png(IDS) + b"\0" * 99, IDS),
  "two bits": (hostile.png(3, 2, 2, 0, zlib.compress(bytes([0, 0b00011000, 0, 0b10000100]))),
               np.array([[0, 1, 2], [2, 0, 1]])),
}  # fmt: skip


@pytest.mark.parametrize("kind", READ)
def test_read(source, kind):
  data, ids = READ[kind]
  (source / "labels/a.png").write_bytes(data)
  said = hostile.prepare(NAME, source)
  if ids is None:  # an id that is no class
    assert "value 3 in 1 pixels" in said
    return
  assert not said
  np.testing.assert_array_equal(label_of(source), ids)


def test_colours_of_classes(source):
  (source / "classes.txt").write_text(COLOURS)
  ids = np.minimum(IDS, 2)
  colours = np.array([(0, 0, 0), (128, 0, 0), (0, 128, 0)], np.uint8)
  (source / "labels/a.png").write_bytes(images.encode_png(colours[ids]))
  assert not hostile.prepare(NAME, source)
  np.testing.assert_array_equal(label_of(source), ids)
  (source / "labels/a.png").write_bytes(images.encode_png(colours[ids] + 1))
  said = hostile.prepare(NAME, source)
  assert "colours #010101, #018101, #810101 of no class" in said


CLASSES = {
  "40,000 blanks": ("ground" + " " * 40_000 + "red\nb\n", "40009 characters; a line can have"),
  "40,000 blanks alone": (" " * 40_000 + "\nb\n", "characters; a line can have"),
  "40,000 digits": ("a " + "1 " * 20_000 + "\nb\n", "characters; a line can have"),
  "a million lines": ("\n".join(map(str, range(10**6))), "1000000 lines; there can be 1000"),
  "a million empty lines": ("a\n" + "\n" * 10**6 + "b", "lines; there can be"),
  "a long line": ("x" * 10**7 + "\nb", "characters; a line can have"),
  "no line": ("", "0 classes; there can be 2"),
  "colours of 400 digits": ("a " + "9" * 190 + " 0 0\nb\n", None),
  "zeros": ("a\0\nb\n", "line 1: not text"),
  "Latin-1": ("stra\xdfe\nb\n".encode("latin-1"), "line 1: not text in UTF-8"),
  "UTF-32": ("a\nb\n".encode("utf-32"), "not text"),
  "half of UTF-16": ("a\nb\n".encode("utf-16") + b"\0", "not text"),
}


@pytest.mark.parametrize("kind", CLASSES)
def test_classes_files(source, kind):
  content, message = CLASSES[kind]
  data = content if isinstance(content, bytes) else content.encode()
  (source / "classes.txt").write_bytes(data)
  said = hostile.prepare(NAME, source)
  assert f"{source}/" in said
  assert message is None or message in said


def test_a_pipe_for_classes(source):
  (source / "classes.txt").unlink()
  os.mkfifo(source / "classes.txt")
  assert "classes.txt: no such file" in hostile.prepare(NAME, source)


def test_classes_that_never_end(source):
  (source / "classes.txt").unlink()
  (source / "classes.txt").symlink_to("/dev/zero")
  assert "classes.txt: no such file" in hostile.prepare(NAME, source)


def test_names_that_change_a_terminal(source):
  (source / "classes.txt").write_text("ground\n\x1b[31mred\n\u202egreen\n")
  assert not hostile.prepare(NAME, source)
  assert prepared.open_dataset(NAME, source.parent / "data").class_names[1] == "\x1b[31mred"


LISTS = ("a/../../outside.png", "/etc/passwd", "..\\outside.png", "C:/outside.png")


@pytest.mark.parametrize("entry", LISTS)
def test_lists_that_lead_outside(tmp_path, entry):
  source = miniatures.lip(tmp_path / "source")
  (tmp_path / "outside.png").write_bytes(images.encode_png(IDS))
  lines = (source / "list/lip/trainList.txt").read_text().splitlines()
  for changed in (f"{entry} {lines[0].split()[1]}", f"{lines[0].split()[0]} {entry}"):
    (source / "list/lip/trainList.txt").write_text("\n".join([changed, *lines[1:]]))
    said = hostile.prepare("lip", source)
    assert "trainList.txt, line 1: " in said
    assert "leads out of the source folder" in said


@pytest.mark.parametrize("entry", LISTS)
def test_annotations_that_lead_outside(tmp_path, entry):
  source = miniatures.pascal_context_json(tmp_path / "source")
  (file,) = source.rglob("*.json")
  name = next(x for x in (file.parent / "JPEGImages").iterdir()).name
  file.write_text(file.read_text().replace(name, entry.replace("\\", "\\\\")))
  assert "leads out of the source folder" in hostile.prepare("pascal_context", source)
