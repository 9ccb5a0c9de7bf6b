"""COCO-Stuff 10k: eleven ids left out, the others counted in order."""

import numpy as np
import pytest

from hrnet_jax.data import images, prepared
from tests.helpers import miniatures

# number of unused ids below each; worked out from the list 12 26 29 30 45 66 68 69 71 83 91
EXAMPLES = {1: 0, 11: 10, 13: 11, 25: 23, 27: 24, 28: 25, 31: 26, 44: 39, 46: 40, 65: 59, 67: 60}
EXAMPLES |= {70: 61, 72: 62, 82: 72, 84: 73, 90: 79, 92: 80, 182: 170}


@pytest.fixture
def source(tmp_path):
  return miniatures.cocostuff10k(tmp_path / "source/cocostuff").parent


def prepare(source, tmp_path):
  return prepared.prepare("cocostuff10k", tmp_path / "out", source=source)[0]


def test_ids_are_counted_in_order(source, tmp_path):
  raw = np.resize(np.arange(183, dtype=np.uint8), miniatures.SIZES[0])
  (source / "cocostuff/val/label/val_0.png").write_bytes(images.encode_png(raw))
  dataset = prepare(source, tmp_path)
  stored = images.decode_label(dataset.source("val")[0]["label"], "label").ravel()[:183]
  assert {i: int(stored[i]) for i in EXAMPLES} == EXAMPLES
  assert np.flatnonzero(stored == 255).tolist() == [0, 12, 26, 29, 30, 45, 66, 68, 69, 71, 83, 91]
  assert stored[stored != 255].tolist() == list(range(171))


def test_other_ids_are_named(source, tmp_path):
  raw = np.full(miniatures.SIZES[0], 183, np.uint8)
  (source / "cocostuff/train/label/train_0.png").write_bytes(images.encode_png(raw))
  with pytest.raises(ValueError, match=r"train_0\.png: value 183 in 6144 pixels; .* 171 classes"):
    prepare(source, tmp_path)


def test_facts(source, tmp_path):
  dataset = prepare(source, tmp_path)
  assert len(set(dataset.class_names)) == len(set(dataset.palette)) == 171
  named = dict(zip(dataset.class_ids, dataset.class_names, strict=True))
  expected = {1: "person", 13: "stop sign", 90: "toothbrush", 92: "banner", 169: "tree"}
  assert {number: named[number] for number in expected} == expected
  assert dataset.unions == {"trainval": ("train", "val")}
