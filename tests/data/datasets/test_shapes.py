"""The built-in data set: what is stored is what was drawn."""

import numpy as np
import pytest

from hrnet_jax.data import images, prepared
from hrnet_jax.data.datasets import shape_scenes, shapes


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(shapes, "SPLIT_SIZES", {"train": 12, "val": 5})
    return prepared.open_dataset("shapes", tmp_path_factory.mktemp("shapes"))


def test_facts(dataset):
  assert dataset.splits() == {"train": 12, "val": 5}
  assert dataset.class_names == ("ground", "disc", "box", "triangle", "star", "kite")
  assert len(dataset.palette) == 6
  assert dataset.landmark_names == ("nose", "left", "right", "tail", "centre")
  assert dataset.flip_pairs == ((1, 2),)
  assert dataset.max_size("val") == (128, 128)
  assert dataset.uniform_size("train")


@pytest.mark.parametrize(("split", "index"), [("train", 0), ("train", 11), ("val", 4)])
def test_record_is_the_scene(dataset, split, index):
  record = dataset.source(split)[index]
  scene = shape_scenes.draw(np.random.default_rng([0, {"train": 0, "val": 1}[split], index]))
  assert record["name"] == f"{split}_{index:05}"
  for key in ("label", "instances"):
    np.testing.assert_array_equal(images.decode_label(record[key], key), getattr(scene, key))
  for key in ("boxes", "classes", "landmarks", "visible"):
    drawn = getattr(scene, "keypoints" if key == "landmarks" else key)
    np.testing.assert_array_equal(record[key], drawn)
    assert record[key].dtype == drawn.dtype
  error = images.decode_image(record["image"], "").astype(int) - scene.image
  assert np.abs(error).mean() < 5  # JPEG


def test_scenes_do_not_depend_on_the_size_of_the_split(dataset, tmp_path, monkeypatch):
  monkeypatch.setattr(shapes, "SPLIT_SIZES", {"train": 2, "val": 1})
  smaller = prepared.open_dataset("shapes", tmp_path)
  for key, value in dataset.source("train")[1].items():
    np.testing.assert_array_equal(smaller.source("train")[1][key], value)
  assert smaller.fingerprint != dataset.fingerprint


def test_two_builds_are_the_same(dataset, tmp_path, monkeypatch):
  monkeypatch.setattr(shapes, "SPLIT_SIZES", {"train": 12, "val": 5})
  again, built = prepared.prepare("shapes", tmp_path, workers=3)
  assert built
  assert again.fingerprint == dataset.fingerprint
  assert again.statistics == dataset.statistics


def test_splits_share_no_scene(dataset):
  images_of = {split: {r["image"] for r in dataset.source(split)} for split in ("train", "val")}
  assert not images_of["train"] & images_of["val"]
