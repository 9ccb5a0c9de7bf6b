"""Folders as people have them, through the whole command: read right, or said what is wrong."""

import json

import numpy as np
from PIL import Image
import pytest

from hrnet_jax.cli.main import main
from hrnet_jax.data import images, prepared
from hrnet_jax.data.dataset import examples
from hrnet_jax.errors import UserError
from tests.helpers import coco_miniature as mini

SEGMENTATION = "image_folder_segmentation/x"
CLASSIFICATION = "image_folder_classification/x"


def photo(path, seed=0):
  path.parent.mkdir(parents=True, exist_ok=True)
  pixels = np.random.default_rng(seed).integers(0, 256, (6, 8, 3)).astype(np.uint8)
  Image.fromarray(pixels).save(path)


def pairs(source, classes, encode, folders=("",), count=3):
  """Photos and labels, of which the left half is 0 and the right half 1."""
  source.mkdir(exist_ok=True)
  (source / "classes.txt").write_bytes(classes)
  ids = np.repeat(np.repeat(np.uint8([[0, 1]]), 4, 1), 6, 0)
  for folder in folders:
    for index in range(count):
      photo(source / "images" / folder / f"{index}.png", index)
      label = source / "labels" / folder / f"{index}.png"
      label.parent.mkdir(parents=True, exist_ok=True)
      label.write_bytes(encode(ids))
  return source


def prepare(name, source, tmp_path, capsys):
  """The status, and what was printed."""
  status = main(["prepare", f"--dataset={name}", f"--source={source}",
                 f"--data_dir={tmp_path / 'out'}"])  # fmt: skip
  return status, "".join(capsys.readouterr())


def test_photos_of_all_suffixes_have_a_class(tmp_path, capsys):
  for name in ("cat", "dog"):
    for suffix in ("jpg", "webp", "bmp", "tiff", "JPEG"):
      photo(tmp_path / f"source/{name}/0.{name}.{suffix}")
      (tmp_path / f"source/{name}/0.{name}.{suffix}").rename(
        tmp_path / f"source/{name}/{suffix}.{suffix}"
      )
  (tmp_path / "source/cat/clip.mp4").write_bytes(b"")
  status, said = prepare(CLASSIFICATION, tmp_path / "source", tmp_path, capsys)
  assert status == 0
  assert "1 file is left out (1 .mp4)" in said
  dataset = prepared.open_dataset(CLASSIFICATION, tmp_path / "out")
  assert sum(dataset.splits().values()) == 10


def test_training_and_validation_are_no_classes(tmp_path, capsys):
  for split in ("training", "validation"):
    for name in ("cat", "dog"):
      photo(tmp_path / "source" / split / name / "0.png")
  photo(tmp_path / "source/test/0.png")
  status, said = prepare(CLASSIFICATION, tmp_path / "source", tmp_path, capsys)
  assert status == 0
  assert "source/test: 1 images are left out, because they lie in no folders of classes" in said
  dataset = prepared.open_dataset(CLASSIFICATION, tmp_path / "out")
  assert (dataset.class_names, dataset.splits()) == (("cat", "dog"), {"train": 2, "val": 2})


def test_training_and_validation_are_never_pooled(tmp_path, capsys):
  folders = ("training", "validation")
  source = pairs(tmp_path / "source", b"a\nb\n", images.encode_png, folders)
  (source / "images/Thumbs.db").write_bytes(b"")
  (source / "images/desktop.ini").write_bytes(b"")
  status, said = prepare(SEGMENTATION, source, tmp_path, capsys)
  assert (status, said.count("note")) == (0, said.count("photos of val are in train, too"))
  (source / "labels/test").mkdir()
  said = prepare(SEGMENTATION, source, tmp_path, capsys)[1]
  assert "labels/test: left out, because it is of no split in" in said
  dataset = prepared.open_dataset(SEGMENTATION, tmp_path / "out")
  assert dataset.splits() == {"train": 3, "val": 3}


def test_crowds_alone_teach_nothing(tmp_path, capsys):
  content = mini.content()
  for row in content["annotations"]:
    row["iscrowd"] = 1
  source = mini.write(tmp_path / "source", {"train": content, "val": mini.content()})
  status, said = prepare("coco/x", source, tmp_path, capsys)
  assert status == 0
  assert "warning: train: nothing to learn from: all 6 objects are ignored" in said
  dataset = prepared.open_dataset("coco/x", tmp_path / "out")
  assert len(examples(dataset, "val_objects")) == 1
  with pytest.raises(UserError, match="split 'train_objects' of coco/x has no example to learn"):
    examples(dataset, "train_objects")


def test_twelve_of_sixteen_bits_are_refused_by_name(tmp_path, capsys):
  source = pairs(tmp_path / "source", b"a\nb\n", images.encode_png)
  for path in (source / "images").iterdir():
    Image.fromarray(np.full((6, 8), 4080, np.uint16)).save(path)
  status, said = prepare(SEGMENTATION, source, tmp_path, capsys)
  assert status == 1
  assert "hrnet prepare: 3 photos or annotations are bad; --skip_bad leaves them out:" in said
  for name in ("0.png", "1.png", "2.png"):
    assert f"images/{name}: 16 bits a value, but the largest is 4080 of 65535" in said


def test_colours_and_palettes_go_by_classes_txt(tmp_path, capsys):
  colours = np.uint8([[9, 9, 9], [200, 0, 0]])
  classes = b"background 9 9 9\nobject 200 0 0\n"
  source = pairs(tmp_path / "source", classes, lambda ids: images.encode_png(colours[ids]))
  assert prepare(SEGMENTATION, source, tmp_path, capsys)[0] == 0
  dataset = prepared.open_dataset(SEGMENTATION, tmp_path / "out")
  assert dataset.statistics["train"]["class_pixels"] == [48, 48]
  image = Image.fromarray(np.zeros((6, 8), np.uint8)).convert("P")
  image.putpalette(colours[::-1].ravel().tolist())
  image.save(source / "labels/1.png")
  status, said = prepare(SEGMENTATION, source, tmp_path, capsys)
  assert status == 1
  assert "labels/1.png: its palette draws id 0, 'background', in the colour that" in said


def test_palette_labels_beyond_pillows_own_limit(tmp_path, capsys, monkeypatch):
  def encode(ids):
    image = Image.fromarray(ids).convert("P")
    image.putpalette([0, 0, 0, 255, 0, 0])
    image.save(tmp_path / "palette.png")
    return (tmp_path / "palette.png").read_bytes()

  source = pairs(tmp_path / "source", b"a\nb\n", encode)
  assert Image.MAX_IMAGE_PIXELS is None  # the project's own limit counts, for all formats
  monkeypatch.setenv("HRNET_JAX_MAX_PIXELS", "47")
  status, said = prepare(SEGMENTATION, source, tmp_path, capsys)
  assert status == 1
  assert "8x6 pixels; at most 47" in said
  monkeypatch.delenv("HRNET_JAX_MAX_PIXELS")
  assert prepare(SEGMENTATION, source, tmp_path, capsys)[0] == 0


@pytest.mark.parametrize(
  ("classes", "message"),
  [
    (
      "Straße\nWiese\n".encode("latin-1"),
      "classes.txt, line 1: not text in UTF-8 (byte 0xdf); sav",
    ),
    (b"object\n", "classes.txt: one class, which every pixel would be, so that there is nothing"),
  ],
)
def test_classes_files_that_are_refused(tmp_path, capsys, classes, message):
  source = pairs(tmp_path / "source", classes, images.encode_png)
  status, said = prepare(SEGMENTATION, source, tmp_path, capsys)
  assert status == 1
  assert message in said


def test_the_hint_about_endings_stands_where_there_is_the_option(camvid_folder, tmp_path, capsys):
  for split in ("train", "val"):
    for path in list((camvid_folder / f"{split}annot").iterdir()):
      path.rename(path.with_stem(f"{path.stem}_mask"))
  status, said = prepare("camvid", camvid_folder, tmp_path, capsys)
  assert status == 1
  assert "train/a.jpg: this image has no label; expected" in said
  assert "label_suffix" not in said


def test_what_published_layouts_leave_out_is_said(camvid_folder, tmp_path, capsys):
  (camvid_folder / "train/notes.txt").write_text("x")
  assert (
    "train: 1 file is left out (1 .txt)" in prepare("camvid", camvid_folder, tmp_path, capsys)[1]
  )
  source = mini.write(tmp_path / "source")
  photo(source / "train/unnamed.png")
  (source / "annotations/captions_train.json").write_text("{}")
  said = prepare("coco/x", source, tmp_path, capsys)[1]
  assert "1 JSON files are left out, such as captions_train.json; instances_SPLIT.json are" in said
  assert "1 of 9 images are left out, such as train/unnamed.png; no file of annotations" in said
  folder = prepared.open_dataset("coco/x", tmp_path / "out").directory
  assert json.loads((folder / "metadata.json").read_text())["format"] == 2
