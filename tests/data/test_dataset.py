"""Prepared data sets: splits that are read together."""

import pickle

import pytest

from hrnet_jax.data import prepared
from hrnet_jax.tasks.segmentation.datasets import camvid


@pytest.fixture
def dataset(camvid_folder, tmp_path, monkeypatch):
  unions = {"both": ("val", "train"), "all": ("train", "val", "test")}
  monkeypatch.setattr(camvid.Camvid, "unions", lambda self: unions)
  return prepared.prepare("camvid", tmp_path / "out", source=camvid_folder)[0]


def test_union_reads_its_splits_one_after_the_other(dataset):
  source = dataset.source("both")
  assert len(source) == 6
  assert [source[i]["name"] for i in range(6)] == list("efabcd")
  assert [record["name"] for record in source] == list("efabcd")
  for position in (-1, 6):
    with pytest.raises(IndexError, match=f"record {position} of 6"):
      source[position]


def test_union_can_be_pickled(dataset):
  source = pickle.loads(pickle.dumps(dataset.source("both")))
  assert source[5] == dataset.source("train")[3]


def test_union_is_there_where_all_its_splits_are(dataset):
  assert dataset.unions == {"both": ("val", "train")}
  assert dataset.splits() == {"train": 4, "val": 2}
  with pytest.raises(ValueError, match="no split 'all'; known: train, val, both"):
    dataset.source("all")


def test_sizes_of_a_union(camvid_folder, tmp_path, add_pair, monkeypatch):
  monkeypatch.setattr(camvid.Camvid, "unions", lambda self: {"both": ("train", "val")})
  for name in "ef":
    add_pair(camvid_folder / f"val/{name}.jpg", camvid_folder / f"valannot/{name}.png", 0, (10, 20))
  dataset, _ = prepared.prepare("camvid", tmp_path / "out", source=camvid_folder)
  assert dataset.max_size("both") == (12, 20)
  assert [dataset.uniform_size(split) for split in ("train", "val", "both")] == [True, True, False]


def test_a_slice_is_a_part_of_a_split_subset_or_union(dataset):
  def names(split):
    return "".join(record["name"] for record in dataset.source(split))

  assert names("both[1:3]") == "fa"
  assert names("train[:1]") == "a"
  assert names("both[1:][1:]") == "abcd"
  assert dataset.max_size("train[:1]") == dataset.max_size("train")


@pytest.mark.parametrize("split", ["train[9:]", "train[1:1]"])
def test_an_empty_slice_is_refused(dataset, split):
  with pytest.raises(ValueError, match=r"has no examples"):
    dataset.source(split)


def test_a_slice_of_nothing_known_is_refused(dataset):
  with pytest.raises(ValueError, match=r"has no split 'other'"):
    dataset.source("other[:1]")
