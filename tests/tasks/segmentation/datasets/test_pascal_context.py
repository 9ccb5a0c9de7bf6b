"""PASCAL-Context: 59 and 60 classes, from the JSON file and from PNG labels."""

import json

import numpy as np
import pytest

from hrnet_jax.data import images, prepared
from hrnet_jax.tasks.segmentation.datasets.pascal_context_classes import CLASSES
from tests.helpers import miniatures

VOC = "VOCdevkit/VOC2010"


def prepare(source, tmp_path, name="pascal_context"):
  return prepared.prepare(name, tmp_path / "out", source=source)[0]


def labels(dataset, split):
  return [images.decode_label(record["label"], "label") for record in dataset.source(split)]


def edit(source, change):
  path = source / VOC / "trainval_merged.json"
  content = json.loads(path.read_text())
  change(content)
  path.write_text(json.dumps(content))


def test_json_masks_become_positions(tmp_path):
  source = miniatures.pascal_context_json(tmp_path / "source")
  with_background = prepare(source, tmp_path, "pascal_context60")
  without = prepare(source, tmp_path)
  ids = np.array(list(CLASSES))
  for index, label in enumerate(labels(with_background, "train")):
    raw = miniatures.random_label(CLASSES, miniatures.SIZES[index], index)
    np.testing.assert_array_equal(ids[label], raw)
    expected = np.where(label == 0, 255, label.astype(int) - 1)
    np.testing.assert_array_equal(labels(without, "train")[index], expected)
  record = without.source("val")[0]
  assert record["name"] == "2008_000004"
  assert record["image"] == (source / VOC / "JPEGImages/2008_000004.jpg").read_bytes()
  assert without.splits() == {"train": 4, "val": 2}


def test_png_labels(tmp_path):
  source = miniatures.pascal_context_png(tmp_path / "source")
  raw = np.resize(np.array([*range(60), 255], np.uint8), miniatures.SIZES[0])
  (source / "train/label/train_0.png").write_bytes(images.encode_png(raw))
  stored = labels(prepare(source, tmp_path), "train")[0].ravel()
  assert stored[:61].tolist() == [255, *range(59), 255]
  stored = labels(prepare(source, tmp_path, "pascal_context60"), "train")[0].ravel()
  assert stored[:61].tolist() == [*range(60), 255]


def test_png_labels_by_list_beside_voc(tmp_path):
  source = miniatures.pascal_context_json(tmp_path / "source")
  (source / VOC / "trainval_merged.json").unlink()
  (source / VOC / "labels").mkdir()
  for split, index in (("train", 0), ("val", 1)):
    label = np.full(miniatures.SIZES[index], 59, np.uint8)
    name = f"2008_{index:06}"
    (source / VOC / f"labels/{name}.png").write_bytes(images.encode_png(label))
    (source / VOC / f"{split}.lst").write_text(f"JPEGImages/{name}.jpg labels/{name}.png\n")
  dataset = prepare(source, tmp_path)
  assert dataset.splits() == {"train": 1, "val": 1}
  assert (labels(dataset, "val")[0] == 58).all()
  assert dataset.source("val")[0]["name"] == "JPEGImages/2008_000001"


def test_json_goes_before_png(tmp_path):
  source = miniatures.pascal_context_json(tmp_path / "source")
  miniatures.pascal_context_png(source)
  names = [record["name"] for record in prepare(source, tmp_path).source("val")]
  assert names == ["2008_000004", "2008_000005"]


def test_unknown_ids_are_named(tmp_path):
  source = miniatures.pascal_context_json(tmp_path / "json")
  edit(source, lambda content: content["annos_segmentation"][0].update(category_id=1))
  message = r"trainval_merged\.json, image 2008_000000: value 1 in \d+ pixels; .* 59 classes"
  with pytest.raises(ValueError, match=message):
    prepare(source, tmp_path)
  source = miniatures.pascal_context_png(tmp_path / "png")
  raw = np.full(miniatures.SIZES[0], 60, np.uint8)
  (source / "val/label/val_0.png").write_bytes(images.encode_png(raw))
  with pytest.raises(ValueError, match=r"val_0\.png: value 60 in 6144 pixels"):
    prepare(source, tmp_path)


def test_image_of_another_size_than_in_the_json(tmp_path):
  source = miniatures.pascal_context_json(tmp_path / "source")
  photo = images.encode_jpeg(miniatures.photo(0, (64, 80)), 90)
  (source / VOC / "JPEGImages/2008_000000.jpg").write_bytes(photo)
  message = r"image 2008_000000: the label is 96x64 .*JPEGImages/2008_000000\.jpg is 80x64"
  with pytest.raises(ValueError, match=message):
    prepare(source, tmp_path)


def test_nothing_that_is_known(tmp_path):
  with pytest.raises(FileNotFoundError, match=r"train/image: .*trainval_merged\.json and JPEGIm"):
    prepare(tmp_path, tmp_path)
  (tmp_path / "trainval_merged.json").write_text("{}")
  with pytest.raises(FileNotFoundError, match="JPEGImages: no such folder"):
    prepare(tmp_path, tmp_path)


def test_facts(tmp_path):
  source = miniatures.pascal_context_png(tmp_path / "source")
  sixty = prepare(source, tmp_path, "pascal_context60")
  assert len(set(sixty.class_names)) == len(set(sixty.palette)) == len(sixty.class_ids) == 60
  named = dict(zip(sixty.class_ids, sixty.class_names, strict=True))
  expected = {0: "background", 2: "aeroplane", 284: "person", 360: "sky", 427: "tvmonitor"}
  assert {number: named[number] for number in expected} == expected
  assert list(sixty.class_ids) == sorted(sixty.class_ids)
  fifty_nine = prepare(source, tmp_path)
  assert fifty_nine.class_names == sixty.class_names[1:]
  assert fifty_nine.palette == sixty.palette[1:]
