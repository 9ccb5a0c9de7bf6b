"""CamVid: splits by folder, void ignored, the usual colours."""

import numpy as np

from hrnet_jax.data import images, prepared
from hrnet_jax.tasks.segmentation.datasets import camvid


def test_records_are_the_files_in_order(camvid_folder, tmp_path):
  dataset, built = prepared.prepare("camvid", tmp_path / "out", source=camvid_folder)
  assert built
  assert dataset.splits() == {"train": 4, "val": 2}
  records = list(dataset.source("train"))
  assert [record["name"] for record in records] == ["a", "b", "c", "d"]
  for record in records:
    assert record["image"] == (camvid_folder / f"train/{record['name']}.jpg").read_bytes()
    assert record["label"] == (camvid_folder / f"trainannot/{record['name']}.png").read_bytes()


def test_void_is_ignored_and_counted(camvid_folder, tmp_path):
  label = np.full((12, 16), 8, np.uint8)
  label[:2, :5] = 11
  label[5, 5] = 255
  (camvid_folder / "valannot/e.png").write_bytes(images.encode_png(label))
  (camvid_folder / "valannot/f.png").write_bytes(images.encode_png(np.zeros_like(label)))
  dataset, _ = prepared.prepare("camvid", tmp_path / "out", source=camvid_folder)
  stored = images.decode_label(dataset.source("val")[0]["label"], "e")
  np.testing.assert_array_equal(stored, np.where(label == 11, 255, label))
  values = dataset.statistics["val"]
  assert values["class_pixels"] == [192, 0, 0, 0, 0, 0, 0, 0, 181, 0, 0]
  assert values["ignored_pixels"] == 11


def test_test_split_and_other_kinds_of_image(camvid_folder, tmp_path, add_pair):
  add_pair(camvid_folder / "test/g.png", camvid_folder / "testannot/g.png")
  add_pair(camvid_folder / "test/h.jpeg", camvid_folder / "testannot/h.png", 1, (20, 10))
  dataset, _ = prepared.prepare("camvid", tmp_path / "out", source=camvid_folder)
  assert dataset.splits() == {"train": 4, "val": 2, "test": 2}
  assert dataset.max_size("test") == (20, 16)
  assert not dataset.uniform_size("test")
  assert dataset.max_size("train") == (12, 16)
  assert dataset.uniform_size("train")


def test_facts():
  assert tuple(camvid.CLASSES)[:4] == ("sky", "building", "pole", "road")
  assert len(camvid.CLASSES) == camvid.VOID == 11
  assert len(set(camvid.CLASSES.values())) == 11
  assert camvid.CLASSES["road"] == (128, 64, 128)


def test_real_data(shared, tmp_path):
  dataset, _ = prepared.prepare("camvid", tmp_path, source=shared / "data/camvid")
  assert dataset.splits() == {"train": 367, "val": 101}
  assert dataset.max_size("val") == (360, 480)
  record = dataset.source("train")[0]
  assert record["name"] == "0001TP_006690"
  label = images.decode_label(record["label"], record["name"])
  assert label.shape == images.decode_image(record["image"], "").shape[:2] == (360, 480)
  assert set(np.unique(label)) <= {*range(11), 255}
