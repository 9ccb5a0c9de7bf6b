"""Folders of files: splits that never move, and colours that can be told apart."""

import itertools

import pytest

from hrnet_jax.data.datasets import folders
from hrnet_jax.tasks.segmentation.datasets import image_label_pairs


def test_made_colours_are_distinct():
  colours = [folders.make_colour(index) for index in range(40)]
  distances = [max(abs(x - y) for x, y in zip(a, b, strict=True)) for a, b in
               itertools.combinations(colours, 2)]  # fmt: skip
  assert min(distances) >= 8
  assert all(0 <= value <= 255 for colour in colours for value in colour)


def test_split_never_moves_a_photo(tmp_path):
  found = [image_label_pairs.Pair(f"photo{i:04}", tmp_path, tmp_path) for i in range(2000)]
  split = folders.split_by_name(found)
  assert 150 < len(split["val"]) < 250  # 200 with a standard deviation of 13
  assert sorted(split["train"] + split["val"], key=lambda pair: pair.name) == found
  half = folders.split_by_name(found[:1000])
  assert half["val"] == [pair for pair in split["val"] if pair in set(found[:1000])]


@pytest.mark.parametrize("count", range(2, 30))
def test_both_sides_of_a_small_split_hold_something(tmp_path, count):
  split = folders.split_by_name(
    [image_label_pairs.Pair(str(i), tmp_path, tmp_path) for i in range(count)]
  )
  assert split["train"]
  assert split["val"]


def test_single_image_cannot_be_split(tmp_path):
  with pytest.raises(ValueError, match="the only image"):
    folders.split_by_name([image_label_pairs.Pair("a", tmp_path / "a.jpg", tmp_path)])


@pytest.mark.parametrize(
  ("names", "splits"),
  [
    (("Train", "validation"), {"train": "Train", "val": "validation"}),
    (("training", "VAL", "testing"), {"train": "training", "val": "VAL", "test": "testing"}),
    (("train", "valid", ".git", "Thumbs.db"), {"train": "train", "val": "valid"}),
    (("monday", "tuesday", "trainstation"), {}),
  ],
)
def test_folders_of_splits(tmp_path, names, splits):
  for name in names:
    (tmp_path / name).mkdir()
  found = folders.split_folders(tmp_path)
  assert {split: path.name for split, path in found.items()} == splits


@pytest.mark.parametrize(
  ("names", "message"),
  [
    (("train", "Training", "val"), "two folders for 'train'; keep one of the two"),
    (("train", "val", "val2"), r"val2: lies beside train/, val/ and would be left out"),
    (("train2", "val2"), r"train2: looks like a split, but is not called train, val or test"),
    (("Training",), r"val: no such folder, although there is .*Training"),
  ],
)
def test_folders_that_would_be_pooled_are_refused(tmp_path, names, message):
  for name in names:
    (tmp_path / name).mkdir()
  with pytest.raises((ValueError, FileNotFoundError), match=message):
    folders.split_folders(tmp_path)
