"""Objects of scenes as examples of their own."""

import json
import pickle

from hypothesis import given
from hypothesis import strategies as st
import numpy as np
import pytest

from hrnet_jax.data import images, prepared
from hrnet_jax.data.datasets import shape_distance, shapes
from hrnet_jax.ops import rle
from hrnet_jax.tasks.classification.views import EachObject, each_object
from hrnet_jax.tasks.detection.views import each_scene
from hrnet_jax.tasks.landmarks.datasets import tables
from hrnet_jax.tasks.landmarks.views import each_kite

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
  scenes = prepared.open_dataset("shapes", tmp_path)
  view = each_object(scenes)
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


def test_scenes_with_boxes_and_masks(tmp_path, monkeypatch):
  monkeypatch.setattr(shapes, "SPLIT_SIZES", {"train": 3, "val": 2})
  scenes = prepared.open_dataset("shapes", tmp_path)
  view = each_scene(scenes)
  assert view.class_names == ("disc", "box", "triangle", "star", "kite")
  assert (view.class_ids, len(view.palette)) == ((1, 2, 3, 4, 5), 5)
  assert view.splits() == {"train": 3, "val": 2}
  assert view.sizes("train").tolist() == [[128, 128]] * 3
  source = pickle.loads(pickle.dumps(view.source("train")))
  assert len(source) == len(list(source)) == 3
  for index, scene in enumerate(scenes.source("train")):
    record = source[index]
    assert (record["image"], record["name"]) == (scene["image"], scene["name"])
    assert (record["image_id"], record["size"].tolist()) == (index, [128, 128])
    np.testing.assert_array_equal(record["classes"] + 1, scene["classes"])
    instances = images.decode_label(scene["instances"], "instances")
    count = len(scene["classes"])
    assert record["ids"].tolist() == list(range(1, count + 1))
    assert not record["crowd"].any()
    assert not record["ignored"].any()
    for number, text in enumerate(json.loads(record["masks"])):
      mask = rle.decode(text, (128, 128))
      np.testing.assert_array_equal(mask, instances == number + 1)
      assert mask.sum() == record["areas"][number] > 0
      x0, y0, x1, y1 = record["boxes"][number].astype(int)
      assert record["bboxes"][number].tolist() == [x0, y0, x1 - x0, y1 - y0]
      assert mask[y0:y1, x0:x1].sum() == mask.sum()
      assert mask[y0, x0:x1].any()
      assert mask[y0:y1, x1 - 1].any()


def test_landmarks_of_the_shapes(tmp_path, monkeypatch):
  monkeypatch.setattr(shapes, "SPLIT_SIZES", {"train": 10, "val": 2})
  scenes = prepared.open_dataset("shapes", tmp_path)
  view = each_kite(scenes)
  assert view.landmark_names == ("nose", "left", "right", "tail", "centre")
  assert view.flip_pairs == ((1, 2),)
  assert view.normalizers == {"span": ((1,), (2,))}
  assert view.class_names == view.palette == ()
  kites = [
    (scene, number)
    for scene in scenes.source("train")
    for number in np.flatnonzero(scene["classes"] == shape_distance.KITE)
    if scene["landmarks"][number].min() > -0.5 and scene["landmarks"][number].max() < 127.5
  ]
  source = pickle.loads(pickle.dumps(view.source("train")))
  assert view.splits()["train"] == len(source) == len(kites) >= 5
  for (scene, number), record in zip(kites, list(source), strict=True):
    assert record["name"] == f"{scene['name']}/{number}"
    assert record["image"] == scene["image"]
    np.testing.assert_array_equal(record["points"], scene["landmarks"][number])
    np.testing.assert_array_equal(record["visible"], scene["visible"][number])
    center, scale = tables.box_of_points(record["points"])
    assert record["center"].tolist() == center.tolist()
    assert float(record["box_size"]) == 200 * scale == 200 * float(record["scale"]) > 20
    # Nose, right, tail and left follow each other clockwise, however the kite is turned.
    nose, left, right, tail, _ = record["points"]
    axis, to_left, to_right = tail - nose, left - nose, right - nose
    assert to_right[0] * axis[1] - to_right[1] * axis[0] > 0
    assert to_left[0] * axis[1] - to_left[1] * axis[0] < 0
  with pytest.raises(IndexError, match=f"object 99 of {len(kites)} in EachKite"):
    source[99]


@given(st.floats(-np.pi / 3, np.pi / 3), st.floats(10, 118), st.floats(10, 118), st.floats(15, 35))
def test_mirror_image_of_a_kite_is_a_kite_with_the_pairs_swapped(angle, x, y, radius):
  kite = shape_distance.Outline(shape_distance.KITE, (x, y), radius, 1.0, angle)
  other = shape_distance.Outline(shape_distance.KITE, (127 - x, y), radius, 1.0, -angle)
  order = [0, 2, 1, 3, 4]
  mirrored = kite.keypoints()[order] * np.float32([-1, 1]) + np.float32([127, 0])
  np.testing.assert_allclose(other.keypoints(), mirrored, atol=1e-4)
  columns, rows = np.meshgrid(np.arange(128.0), np.arange(0, 128.0, 8))
  own = kite.distance(columns.astype(np.float32), rows.astype(np.float32))
  seen = other.distance(columns.astype(np.float32), rows.astype(np.float32))
  np.testing.assert_allclose(seen, own[:, ::-1], atol=1e-3)
