"""ADE20K: ids from 0, the rest ignored, both ways in which the folders lie."""

import numpy as np
import pytest

from hrnet_jax.data import images, prepared
from tests.helpers import miniatures


@pytest.fixture
def source(tmp_path):
  return miniatures.ade20k(tmp_path / "source")


def prepare(source, tmp_path):
  return prepared.prepare("ade20k", tmp_path / "out", source=source)[0]


def test_ids_count_from_zero(source, tmp_path):
  raw = np.resize(np.arange(151, dtype=np.uint8), miniatures.SIZES[0])
  (source / "val/label/val_0.png").write_bytes(images.encode_png(raw))
  dataset = prepare(source, tmp_path)
  stored = images.decode_label(dataset.source("val")[0]["label"], "label")
  np.testing.assert_array_equal(stored.ravel()[:151], [255, *range(150)])
  np.testing.assert_array_equal(stored, raw - np.uint8(1))
  image = (source / "val/image/val_0.jpg").read_bytes()
  assert dataset.source("trainval")[4]["image"] == image


@pytest.mark.parametrize("value", [151, 255])
def test_other_ids_are_named(value, source, tmp_path):
  raw = np.full(miniatures.SIZES[1], value, np.uint8)
  (source / "train/label/train_1.png").write_bytes(images.encode_png(raw))
  with pytest.raises(ValueError, match=rf"train_1\.png: value {value} in 5120 .*; 0 is ignored"):
    prepare(source, tmp_path)


def test_folders_of_the_challenge(source, tmp_path):
  root = tmp_path / "other/ADEChallengeData2016"
  for split, official in (("train", "training"), ("val", "validation")):
    for kind, folder in (("image", "images"), ("label", "annotations")):
      (root / folder).mkdir(parents=True, exist_ok=True)
      (source / split / kind).rename(root / folder / official)
  for folder in (root.parent, root):
    assert prepare(folder, tmp_path).splits() == {"train": 4, "val": 2}


def test_facts(source, tmp_path):
  dataset = prepare(source, tmp_path)
  names = dataset.class_names
  assert len(set(names)) == len(dataset.palette) == 150
  assert [names[i] for i in (0, 12, 74, 99, 149)] == [
    "wall",
    "person",
    "computer",
    "buffet",
    "flag",
  ]
  assert dataset.palette[2] == (6, 230, 230)
  assert dataset.class_ids == tuple(range(1, 151))
