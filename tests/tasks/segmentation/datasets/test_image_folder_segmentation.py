"""A user's own folder: classes, colours, splits, and two folders side by side."""

import pytest

from hrnet_jax.data import prepared
from hrnet_jax.tasks.segmentation.datasets import classes_file


@pytest.fixture
def flat(tmp_path, add_pair):
  for index in range(6):
    add_pair(
      tmp_path / f"flat/images/{index}.jpg", tmp_path / f"flat/labels/{index}.png", seed=index
    )
  (tmp_path / "flat/classes.txt").write_text("road\ntraffic light #0a0b0c\nsky 1 2 3\n\n")
  return tmp_path / "flat"


def read(tmp_path, text):
  (tmp_path / "classes.txt").write_text(text)
  return classes_file.read_classes(tmp_path / "classes.txt")


def test_classes_with_and_without_colours(tmp_path):
  facts = read(tmp_path, "\ufeffroad\r\ntraffic light #0A0b0c\nlane 2\nsky  1 2 3\n\n")
  assert facts.names == ("road", "traffic light", "lane 2", "sky")
  assert facts.palette[1] == (10, 11, 12)
  assert facts.palette[3] == (1, 2, 3)


@pytest.mark.parametrize(
  ("text", "message"),
  [
    ("road\n\nsky\n", r"classes\.txt, line 2: empty"),
    ("road\nsky\nroad\n", r"classes\.txt, line 3: class 'road' is there twice"),
    ("road 1 2 256\n", r"classes\.txt, line 1: colour \(1, 2, 256\)"),
    ("", r"classes\.txt: 0 classes"),
    ("#ff0000\n#00ff00\n", r"classes\.txt: 0 classes; .*lines that begin with # are passed over"),
    ("\n".join(map(str, range(256))), r"classes\.txt: 256 classes"),
  ],
)
def test_bad_classes(tmp_path, text, message):
  with pytest.raises(ValueError, match=message):
    read(tmp_path, text)


def test_flat_folder_is_split(flat, tmp_path):
  dataset, _ = prepared.prepare("image_folder_segmentation", tmp_path / "out", source=flat)
  assert sum(dataset.splits().values()) == 6
  assert min(dataset.splits().values()) >= 1
  assert dataset.class_names == ("road", "traffic light", "sky")


def test_folders_as_splits(tmp_path, add_pair):
  source = tmp_path / "own"
  for split, name in (("train", "x/a"), ("train", "b"), ("val", "c"), ("test", "d")):
    add_pair(source / f"images/{split}/{name}.png", source / f"labels/{split}/{name}.png")
  (source / "classes.txt").write_text("one\ntwo\nthree")
  dataset, _ = prepared.prepare("image_folder_segmentation", tmp_path / "out", source=source)
  assert dataset.splits() == {"train": 2, "val": 1, "test": 1}
  assert [record["name"] for record in dataset.source("train")] == ["b", "x/a"]


def test_split_folders_have_to_be_complete(tmp_path, add_pair):
  source = tmp_path / "own"
  add_pair(source / "images/train/a.jpg", source / "labels/train/a.png")
  (source / "classes.txt").write_text("one\ntwo\nthree")
  with pytest.raises(FileNotFoundError, match=r"images/val: no such folder.*images/train"):
    prepared.prepare("image_folder_segmentation", tmp_path / "out", source=source)
  add_pair(source / "images/val/a.jpg", source / "labels/val/a.png")
  add_pair(source / "images/b.jpg", source / "labels/b.png")
  with pytest.raises(ValueError, match=r"images/b\.jpg: lies beside train/, val/"):
    prepared.prepare("image_folder_segmentation", tmp_path / "out", source=source)


def test_label_beyond_the_classes_is_named(flat, tmp_path):
  (flat / "classes.txt").write_text("road\nsky\n")
  with pytest.raises(ValueError, match=r"labels/\d\.png: value 2 in \d+ pixels; there are 2 class"):
    prepared.prepare("image_folder_segmentation", tmp_path / "out", source=flat)


def test_classes_file_is_needed(flat, tmp_path):
  (flat / "classes.txt").unlink()
  with pytest.raises(FileNotFoundError, match=r"classes\.txt: no such file; write one class name"):
    prepared.prepare("image_folder_segmentation", tmp_path / "out", source=flat)


def test_two_own_folders_side_by_side(flat, tmp_path, add_pair):
  other = tmp_path / "other"
  for name in "ab":
    add_pair(other / f"images/{name}.jpg", other / f"labels/{name}.png", seed=ord(name))
  (other / "classes.txt").write_text("left\nright\nmiddle")
  for variant, source in (("mine", flat), ("yours", other)):
    prepared.prepare(f"image_folder_segmentation/{variant}", tmp_path / "out", source=source)
  mine = prepared.open_dataset("image_folder_segmentation/mine", tmp_path / "out")
  yours = prepared.open_dataset("image_folder_segmentation/yours", tmp_path / "out")
  assert mine.class_names[0] == "road"
  assert yours.class_names[0] == "left"
  assert (len(mine.source("train")), len(yours.source("train"))) == (mine.splits()["train"], 1)
  with pytest.raises(FileNotFoundError, match="--dataset=image_folder_segmentation "):
    prepared.open_dataset("image_folder_segmentation", tmp_path / "out")


def test_changed_class_names_prepare_anew(flat, tmp_path):
  name = "image_folder_segmentation/mine"
  before, _ = prepared.prepare(name, tmp_path / "out", source=flat)
  (flat / "classes.txt").write_text("road\ntree\nsky\n")
  after, built = prepared.prepare(name, tmp_path / "out", source=flat)
  assert built
  assert after.class_names == ("road", "tree", "sky")
  assert after.fingerprint != before.fingerprint
