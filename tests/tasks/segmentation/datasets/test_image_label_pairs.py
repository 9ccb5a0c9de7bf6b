"""Pairs of photos and labels: every bad one is refused by name, and leaves nothing to read."""

import re

import numpy as np
import pytest

from hrnet_jax.data import images, prepared
from hrnet_jax.data.reading import Reading
from hrnet_jax.tasks.segmentation.datasets import image_label_pairs


def cut(path):
  path.write_bytes(path.read_bytes()[:-100])


def write_label(path, label):
  path.write_bytes(images.encode_png(label))


def label_of(*shape, **ids):
  label = np.zeros(shape, np.uint8)
  for index, (value, count) in enumerate(ids.values()):
    label.ravel()[10 * index : 10 * index + count] = value
  return label


BAD = {
  "truncated image": ("train/c.jpg", cut, r"train/c\.jpg: corrupt or truncated"),
  "image of text": ("train/c.jpg", lambda p: p.write_text("hello"), r"train/c\.jpg: corrupt"),
  "empty image": ("val/e.jpg", lambda p: p.write_bytes(b""), r"val/e\.jpg: empty file"),
  "truncated label": ("trainannot/b.png", cut, r"trainannot/b\.png: corrupt or truncated"),
  "no label": ("valannot/e.png", lambda p: p.unlink(), r"val/e\.jpg: .* no label.*valannot/e\.png"),
  "no image": (
    "train/d.jpg",
    lambda p: p.unlink(),
    r"trainannot/d\.png: .* no image.*train/d\.jpg or \.jpeg or \.png",
  ),
  "unknown ids": (
    "trainannot/a.png",
    lambda p: write_label(p, label_of(12, 16, a=(12, 3), b=(254, 1))),
    r"trainannot/a\.png: value 12 in 3 pixels, value 254 in 1 pixels; there are 11 classes",
  ),
  "another size": (
    "trainannot/a.png",
    lambda p: write_label(p, label_of(12, 15)),
    r"trainannot/a\.png: the label is 15x12 .*train/a\.jpg is 16x12",
  ),
  "colour label": (
    "valannot/f.png",
    lambda p: write_label(p, label_of(12, 16, 3)),
    r"valannot/f\.png: .*colour image \(RGB\)",
  ),
  "two images of one name": (
    "train/a.jpg",
    lambda p: p.with_suffix(".png").write_bytes(p.read_bytes()),
    r"train/a\.png: has the same name as .*train/a\.jpg",
  ),
  "no split": ("valannot", lambda p: p.rename(p.with_name("x")), r"valannot: no such folder"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_source_is_named_and_leaves_nothing(case, camvid_folder, tmp_path):
  file, spoil, message = BAD[case]
  spoil(camvid_folder / file)
  with pytest.raises((ValueError, FileNotFoundError), match=message) as raised:
    prepared.prepare("camvid", tmp_path / "out", source=camvid_folder)
  assert str(raised.value).startswith(str(camvid_folder))  # nothing in front of the file
  assert sorted(path.name for path in (tmp_path / "out").rglob("*")) == [".staging", "camvid.lock"]
  with pytest.raises(FileNotFoundError, match="not prepared"):
    prepared.open_dataset("camvid", tmp_path / "out")


def test_dangling_link_is_named(camvid_folder, tmp_path):
  path = camvid_folder / "train/a.jpg"
  path.unlink()
  path.symlink_to(tmp_path / "gone.jpg")
  with pytest.raises(FileNotFoundError, match=re.escape(str(path))):
    prepared.prepare("camvid", tmp_path / "out", source=camvid_folder)


def test_bad_source_leaves_the_older_data_set(camvid_folder, tmp_path):
  before, _ = prepared.prepare("camvid", tmp_path / "out", source=camvid_folder)
  cut(camvid_folder / "val/f.jpg")
  with pytest.raises(ValueError, match=r"val/f\.jpg"):
    prepared.prepare("camvid", tmp_path / "out", source=camvid_folder)
  assert prepared.open_dataset("camvid", tmp_path / "out") == before
  assert len(list(before.source("val"))) == 2


def find_pairs(folder, **options):
  reading = Reading(folder)
  found = image_label_pairs.find_pairs(folder / "i", folder / "l", reading, **options)
  reading.problems.require_none()
  return found


def test_pairs_are_sorted_and_keep_their_folders(tmp_path, add_pair):
  for name in ("b/x", "a/y", "c"):
    add_pair(tmp_path / f"i/{name}.jpg", tmp_path / f"l/{name}.png")
  (tmp_path / "i/.DS_Store").write_text("")
  (tmp_path / "i/Thumbs.db").write_text("")
  (tmp_path / "l/._c.png").write_text("")
  found = find_pairs(tmp_path)
  assert [pair.name for pair in found] == ["a/y", "b/x", "c"]
  assert found[0].image == tmp_path / "i/a/y.jpg"
  assert found[0].label == tmp_path / "l/a/y.png"


def test_capital_suffixes_and_dots_in_names(tmp_path, add_pair):
  add_pair(tmp_path / "i/a.v1.JPG", tmp_path / "l/a.v1.PNG")
  assert [pair.name for pair in find_pairs(tmp_path)] == ["a.v1"]


def test_bytes_are_untouched_unless_an_id_changes(tmp_path, add_pair):
  image, label = tmp_path / "a.png", tmp_path / "a_label.png"
  add_pair(image, label)
  pair = image_label_pairs.Pair("a", image, label)
  record = image_label_pairs.read_pair(pair, ["x", "y", "z"], void=11)
  assert record == {"image": image.read_bytes(), "label": label.read_bytes(), "name": "a"}
  ids = label_of(12, 16, a=(11, 5), b=(255, 2), c=(2, 4))
  write_label(label, ids)
  record = image_label_pairs.read_pair(pair, ["x", "y", "z"], void=11)
  stored = images.decode_label(record["label"], "a")
  assert (stored == 255).sum() == 7
  np.testing.assert_array_equal(stored[ids != 11], ids[ids != 11])


def test_ids_are_mapped_and_unknown_ones_described(tmp_path, add_pair):
  stored = {0: 255, 1: 255, 3: 0, 5: 1, 6: 2, 7: 2, 300: 3}
  label = np.array([[0, 3, 5], [6, 7, 300]])
  mapped = image_label_pairs.map_ids(label, stored, "a")
  assert mapped.dtype == np.uint8
  assert mapped.tolist() == [[255, 0, 1], [2, 2, 3]]
  message = "a: value 2 in 1 pixels, value 301 in 2 pixels; there are 4 classes, so ids 3, 5 to 7, "
  with pytest.raises(ValueError, match=f"^{message}300 may occur; 0, 1 are ignored$"):
    image_label_pairs.map_ids(np.array([[2, 301, 301]]), stored, "a")
  with pytest.raises(ValueError, match=r"so ids 3 may occur; 9 is ignored$"):
    image_label_pairs.map_ids(label, {3: 0, 9: 255}, "a")


def test_image_without_label_is_ignored_all_over(tmp_path, add_pair):
  add_pair(tmp_path / "a.png", tmp_path / "label.png", size=(7, 9))
  record = image_label_pairs.read_mapped(
    image_label_pairs.Pair("a", tmp_path / "a.png", None), {0: 0}
  )
  label = images.decode_label(record["label"], "a")
  np.testing.assert_array_equal(label, np.full((7, 9), 255))
  assert record["image"] == (tmp_path / "a.png").read_bytes()


def test_endings_leave_other_files_out(tmp_path, add_pair):
  for name in ("x", "y"):
    add_pair(tmp_path / f"i/{name}_i.png", tmp_path / f"l/{name}_l.png")
  add_pair(tmp_path / "i/z.png", tmp_path / "l/y_other.png")
  found = find_pairs(tmp_path, image_ending="_i", label_ending="_l")
  assert [(pair.name, pair.label.name) for pair in found] == [("x", "x_l.png"), ("y", "y_l.png")]
  (tmp_path / "l/x_l.png").unlink()
  with pytest.raises(FileNotFoundError, match=r"i/x_i\.png: .*no label; expected .*l/x_l\.png"):
    find_pairs(tmp_path, image_ending="_i", label_ending="_l")
