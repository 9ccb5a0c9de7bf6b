"""Objects of scenes as examples of their own."""

import pickle

import numpy as np
import pytest

from hrnet_jax.data import objects, registry
from hrnet_jax.data.builders import shapes
from hrnet_jax.data.objects import EachObject

SCENES = [
  {"image": b"a", "label": b"", "name": "a", "boxes": np.array([[10, 20, 30, 30.5]], np.float32),
   "classes": np.array([3])},
  {"image": b"b", "label": b"", "name": "b", "boxes": np.zeros((0, 4), np.float32),
   "classes": np.zeros(0, int)},
  {"image": b"c", "label": b"", "name": "c", "boxes": np.float32([[0, 0, 4, 10], [5, 5, 6, 6]]),
   "classes": np.array([1, 5])},
]  # fmt: skip


def test_objects_are_counted_through():
  source = EachObject(SCENES)
  assert len(source) == 3
  found = [source[np.int64(i)] for i in range(3)]
  assert [(r["name"], r["image"], int(r["label"])) for r in found] == [
    ("a/0", b"a", 2),
    ("c/0", b"c", 0),
    ("c/1", b"c", 4),
  ]
  for index in (-1, 3):
    with pytest.raises(IndexError, match=f"object {index} of 3"):
      source[index]


def test_box_is_a_square_with_a_margin():
  source = EachObject(SCENES)
  # 20 wide around x 20 and y 25.25, with 3 more on every side: half of it is 13.
  assert source[0]["box"].tolist() == [7, 12, 33, 39]
  assert source[1]["box"].tolist() == [-5, -2, 9, 12]  # half is 6.5
  assert source[0]["box"].dtype == np.int32


def test_view_of_the_shapes(tmp_path, monkeypatch):
  monkeypatch.setattr(shapes, "SPLIT_SIZES", {"train": 3, "val": 2})
  scenes = registry.open_dataset("shapes", tmp_path)
  view = objects.each_object(scenes)
  assert view.class_names == ("disc", "box", "triangle", "star", "kite")
  assert len(view.palette) == 5
  assert view.fingerprint == scenes.fingerprint
  classes = [int(k) for scene in scenes.source("val") for k in scene["classes"]]
  assert view.splits()["val"] == len(view.source("val")) == len(classes)
  assert view.facts()["splits"] == view.splits()
  source = pickle.loads(pickle.dumps(view.source("val")))
  assert [int(source[i]["label"]) + 1 for i in range(len(source))] == classes
  with pytest.raises(ValueError, match="no split 'tset'; known: train, val"):
    view.source("tset")
