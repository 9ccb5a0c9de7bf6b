"""Folders of classes: order, splits, and what is not as it has to be."""

import pathlib

import numpy as np
import pytest

from hrnet_jax.data import images, prepared

NAME = "image_folder_classification/mine"


def add(path: pathlib.Path, seed: int = 0, size=(12, 16)) -> None:
  path.parent.mkdir(parents=True, exist_ok=True)
  photo = np.random.default_rng(seed).integers(0, 256, (*size, 3)).astype(np.uint8)
  png = path.suffix == ".png"
  path.write_bytes(images.encode_png(photo) if png else images.encode_jpeg(photo, 90))


@pytest.fixture
def imagenet(tmp_path):
  """Three photos in `train`, two in `val`; WordNet ids as names."""
  source = tmp_path / "imagenet"
  for index, name in enumerate(
    ["train/n02/b.JPEG", "train/n02/a.JPEG", "train/n01/n01_7.JPEG", "val/n02/x.JPEG",
     "val/n01/y.png"]
  ):  # fmt: skip
    add(source / name, index)
  add(source / "train/n02/a.JPEG", 9, size=(30, 10))
  (source / "train/.hidden").mkdir()
  return source


@pytest.fixture
def flat(tmp_path):
  """30 cats, 12 dogs and a single bird."""
  source = tmp_path / "flat"
  for name, count in (("dog", 12), ("cat", 30), ("bird", 1)):
    for index in range(count):
      add(source / name / f"{index}.jpg", index)
  return source


def prepare(source, tmp_path):
  return prepared.prepare(NAME, tmp_path / "out", source=source)[0]


def labels(dataset, split):
  return [(record["name"], int(record["label"])) for record in dataset.source(split)]


def test_folders_of_splits_and_classes(imagenet, tmp_path):
  dataset = prepare(imagenet, tmp_path)
  assert dataset.class_names == ("n01", "n02")
  assert len(dataset.palette) == 2
  # One of each class in turn, sorted in each class.
  assert labels(dataset, "train") == [("n01/n01_7", 0), ("n02/a", 1), ("n02/b", 1)]
  assert labels(dataset, "val") == [("n01/y", 0), ("n02/x", 1)]
  record = dataset.source("train")[1]
  assert record["image"] == (imagenet / "train/n02/a.JPEG").read_bytes()
  assert type(record["label"]) is int
  assert dataset.max_size("train") == (30, 16)
  assert not dataset.uniform_size("train")
  assert dataset.uniform_size("val")
  assert dataset.statistics["train"]["class_images"] == [1, 2]


def test_photos_without_labels_are_no_test_split(imagenet, tmp_path):
  add(imagenet / "test/a.jpg")
  assert list(prepare(imagenet, tmp_path).splits()) == ["train", "val"]
  add(imagenet / "test/n02/a.jpg")
  (imagenet / "test/a.jpg").unlink()
  assert list(prepare(imagenet, tmp_path).splits()) == ["train", "val", "test"]


def test_flat_folder_is_split_within_each_class(flat, tmp_path):
  dataset = prepare(flat, tmp_path)
  assert dataset.class_names == ("bird", "cat", "dog")
  train, val = (dataset.statistics[split]["class_images"] for split in ("train", "val"))
  assert np.add(train, val).tolist() == [1, 30, 12]
  assert val[0] == 0
  assert min(val[1:]) >= 1
  before = dict(labels(dataset, "val"))
  add(flat / "dog/another.jpg", 77)
  after = dict(labels(prepare(flat, tmp_path), "val"))
  assert before.items() <= after.items() | {("dog/another", 2)}


def test_class_may_have_the_name_of_a_split(flat, tmp_path):
  add(flat / "train/0.jpg")
  add(flat / "train/1.jpg")
  assert prepare(flat, tmp_path).class_names == ("bird", "cat", "dog", "train")


def test_order_of_the_classes_is_that_of_the_characters(tmp_path):
  for name in ("b", "B", "a", "10", "9"):
    add(tmp_path / "source" / name / "0.jpg")
    add(tmp_path / "source" / name / "1.jpg")
  assert prepare(tmp_path / "source", tmp_path).class_names == ("10", "9", "B", "a", "b")


def broken_photo(source):
  path = source / "val/n02/x.JPEG"
  path.write_bytes(path.read_bytes()[:200])


def empty_class(source):
  (source / "train/n02/a.JPEG").unlink()
  (source / "train/n02/b.JPEG").unlink()


def unknown_class(source):
  add(source / "val/n03/a.jpg")


def stray_photo(source):
  add(source / "train/a.jpg")


def twice(source):
  add(source / "train/n01/n01_7.png")


def no_val(source):
  (source / "val").rename(source.parent / "gone")


def flat_val(source):
  for name in ("n02/x.JPEG", "n01/y.png"):
    (source / "val" / name).rename(source / "val" / pathlib.Path(name).name)
  for name in ("n01", "n02"):
    (source / "val" / name).rmdir()


def beside(source):
  (source / "extra").mkdir()


@pytest.mark.parametrize(
  ("damage", "error", "message"),
  [
    (broken_photo, ValueError, r"val/n02/x\.JPEG: corrupt or truncated"),
    (empty_class, FileNotFoundError, r"train/n02: no images .* of this class"),
    (unknown_class, ValueError, r"val/n03: class 'n03' is not in .*train"),
    (stray_photo, ValueError, r"train/a\.jpg: lies in no folder of a class"),
    (twice, ValueError, r"n01_7\.png: has the same name as .*n01_7\.JPEG"),
    (no_val, FileNotFoundError, r"val: no such folder, although there is .*train"),
    (flat_val, ValueError, r"val: holds no folders of classes; move its photos into them"),
    (beside, ValueError, r"extra: lies beside train/, val/"),
  ],
)
def test_what_is_not_as_it_has_to_be_is_named(damage, error, message, imagenet, tmp_path):
  damage(imagenet)
  with pytest.raises(error, match=message):
    prepare(imagenet, tmp_path)
  assert not (tmp_path / "out/image_folder_classification").exists()


def test_folders_that_cannot_be_split(tmp_path):
  add(tmp_path / "one/cat/0.jpg")
  with pytest.raises(ValueError, match="one: 1 folders of classes, expected at least 2"):
    prepare(tmp_path / "one", tmp_path)
  add(tmp_path / "one/dog/0.jpg")
  with pytest.raises(ValueError, match="no class has 2 photos"):
    prepare(tmp_path / "one", tmp_path)
