"""Folders in COCO's format to records, and what is wrong with them in words."""

import io
import json
import pickle

import numpy as np
from PIL import Image
import pytest

from hrnet_jax.data import images, prepared
from hrnet_jax.data import prepare as command
from hrnet_jax.ops import rle
from tests.helpers import coco_miniature as mini

NAME = "coco/mini"


@pytest.fixture
def opened(tmp_path):
  """The miniature as a data set, and its folder."""
  folder = mini.write(tmp_path / "source")
  dataset, built = prepared.prepare(NAME, tmp_path / "data", source=folder)
  assert built
  return dataset, folder


def test_records_hold_all_that_is_annotated(opened):
  dataset, folder = opened
  assert dataset.class_names == ("dog", "cat", "mug")  # by ascending id
  assert dataset.class_ids == (3, 7, 90)
  assert len(set(dataset.palette)) == 3
  assert dataset.splits() == {"train": 4, "val": 4}
  empty, small, full, crowd = dataset.source("train")
  assert [r["name"] for r in (empty, small, full, crowd)] == ["a", "b", "c", "d"]
  assert full["image"] == (folder / "train" / "c.jpg").read_bytes()
  assert (full["image_id"], full["size"].tolist()) == (30, [40, 49])
  np.testing.assert_array_equal(full["boxes"][0], np.float32([4.25, 2, 24.75, 12]))
  assert full["bboxes"][0].tolist() == [4.25, 2, 20.5, 10]
  assert full["classes"].tolist() == [2, 0, 0, 1]
  assert full["areas"].tolist() == [150.5, 10, 300, 5]
  assert full["crowd"].tolist() == [False, False, True, False]
  assert full["ignored"].tolist() == [False, False, True, True]  # the last is half a pixel wide
  assert full["ids"].tolist() == [5, 6, 9, 11]
  kinds = {"boxes": "float32", "bboxes": "float64", "areas": "float64", "classes": "int32"}
  assert {key: str(full[key].dtype) for key in kinds} == kinds
  masks = [rle.decode(text, (40, 49)) for text in json.loads(full["masks"])]
  assert masks[0][2:12, 4:24].all()
  assert masks[0].sum() == 200
  assert masks[1][2:12, 5].all()
  assert masks[1].sum() == 10
  assert empty["boxes"].shape == empty["bboxes"].shape == (0, 4)
  assert (len(empty["classes"]), empty["masks"], small["size"].tolist()) == (0, "[]", [20, 64])
  assert crowd["masks"] == "[null]"


def test_images_to_train_on_and_sizes(opened):
  dataset, _ = opened
  assert dataset.sizes("val").tolist() == [[48, 32], [20, 64], [40, 49], [40, 40]]
  # Without an object, too small, and a crowd alone are left out.
  assert dataset.sizes("train_objects").tolist() == [[40, 49]]
  assert [r["name"] for r in dataset.source("train_objects")] == ["c"]
  assert dataset.statistics["train"]["class_objects"] == [1, 1, 1]
  assert dataset.statistics["train"]["ignored_objects"] == 3
  text = command.summarize(dataset)
  assert "share of objects" in text
  assert "train_objects 1 images of train" in " ".join(text.split())
  source = pickle.loads(pickle.dumps(dataset.source("val")))
  assert source[2]["ids"].tolist() == [5, 6, 9, 11]


def test_prepared_again_only_if_something_changed(opened, tmp_path):
  _, folder = opened
  assert not prepared.prepare(NAME, tmp_path / "data", source=folder)[1]
  values = mini.content()
  values["annotations"][0]["bbox"] = [4, 2, 20, 10]
  mini.write(folder, {"train": values, "val": values})
  again, built = prepared.prepare(NAME, tmp_path / "data", source=folder)
  assert built
  assert again.source("val")[2]["bboxes"][0].tolist() == [4, 2, 20, 10]


def build(tmp_path, **files):
  return prepared.prepare(NAME, tmp_path / "data", source=mini.write(tmp_path / "source", files))


def test_without_masks_and_areas(tmp_path):
  values = mini.content()
  for number, row in enumerate(values["annotations"]):
    del row["area"]
    if number:
      del row["segmentation"]
  dataset, _ = build(tmp_path, all2020=values)
  record = dataset.source("all2020")[2]
  assert record["areas"].tolist() == [200, 10, 1960, 4.5]  # of the mask, then of the boxes
  assert [x is None for x in json.loads(record["masks"])] == [False, True, True, True]


def test_folder_of_images_within_another(tmp_path):
  folder = mini.write(tmp_path / "source", {"val": mini.content()})
  (folder / "images").mkdir()
  (folder / "val").rename(folder / "images" / "val")
  dataset, _ = prepared.prepare(NAME, tmp_path / "data", source=folder)
  assert dataset.splits() == {"val": 4}


def test_photos_that_viewers_turn(tmp_path):
  folder = mini.write(tmp_path / "source", {"val": mini.content()})
  rng = np.random.default_rng(0)
  pixels = rng.integers(0, 256, (40, 49, 3)).astype(np.uint8)
  exif = Image.Exif()
  exif[0x112] = 6  # a quarter turn
  file = io.BytesIO()
  Image.fromarray(pixels).save(file, "JPEG", exif=exif)
  (folder / "val" / "c.jpg").write_bytes(file.getvalue())
  dataset, _ = prepared.prepare(NAME, tmp_path / "data", source=folder)
  record = dataset.source("val")[2]
  assert images.decode_image(record["image"], "c").shape == (40, 49, 3)
  assert len(record["image"]) == len(file.getvalue())


def test_errors_of_the_folder(tmp_path):
  folder = tmp_path / "source"
  folder.mkdir()
  with pytest.raises(FileNotFoundError, match=r"annotations: no instances_SPLIT"):
    prepared.prepare(NAME, tmp_path / "data", source=folder)
  (folder / "annotations").mkdir()
  with pytest.raises(FileNotFoundError, match=r"no instances_SPLIT\.json"):
    prepared.prepare(NAME, tmp_path / "data", source=folder)
  mini.write(folder)
  (folder / "val" / "a.jpg").unlink()
  with pytest.raises(FileNotFoundError, match=r"val/a\.jpg: no such file, .*_val\.json, image 10"):
    prepared.prepare(NAME, tmp_path / "data", source=folder)
  for path in (folder / "val").iterdir():
    path.unlink()
  (folder / "val").rmdir()
  with pytest.raises(FileNotFoundError, match=r"source/val: no such folder .*instances_val\.json"):
    prepared.prepare(NAME, tmp_path / "data", source=folder)
  assert not list((tmp_path / "data").rglob("metadata.json"))


def test_image_of_another_size(tmp_path):
  folder = mini.write(tmp_path / "source")
  (folder / "val" / "c.jpg").write_bytes((folder / "val" / "d.jpg").read_bytes())
  with pytest.raises(ValueError, match=r"c\.jpg: 40x40 pixels, but .*image 30 says 49x40"):
    prepared.prepare(NAME, tmp_path / "data", source=folder)


def test_bad_segmentation_keeps_what_was_there(opened, tmp_path):
  _, folder = opened
  values = mini.content()
  values["annotations"][0]["segmentation"] = [[1, 2, 3]]
  mini.write(folder, {"val": values})
  with pytest.raises(ValueError, match=r"_val\.json, annotation 5: bad segmentation: a polygon"):
    prepared.prepare(NAME, tmp_path / "data", source=folder)
  assert prepared.open_dataset(NAME, tmp_path / "data").source("val")[2]["ids"][0] == 5


def test_splits_with_other_categories(tmp_path):
  other = mini.content()
  other["categories"] = [*mini.CATEGORIES[:2], {"id": 90, "name": "cup"}]
  with pytest.raises(ValueError, match=r"_val\.json: other categories .*'cup' with id 90"):
    build(tmp_path, train=mini.content(), val=other)


@pytest.mark.wide
def test_coco128(shared, tmp_path):
  folder = shared / "data" / "coco128"
  dataset, _ = prepared.prepare("coco/coco128", tmp_path, source=folder)
  assert dataset.splits() == {"train2017": 100, "val2017": 100}
  assert len(dataset.class_names) == 80
  assert (dataset.class_ids[0], dataset.class_ids[-1]) == (1, 90)
  content = json.loads((folder / "annotations" / "instances_val2017.json").read_text())
  rows = {row["id"]: row for row in content["annotations"]}
  seen = 0
  for record in dataset.source("val2017"):
    for number, bbox, area, crowd, label in zip(
      *(record[k] for k in ("ids", "bboxes", "areas", "crowd", "classes")), strict=True
    ):
      row = rows[number]
      assert (row["bbox"], row["area"], row["iscrowd"]) == (bbox.tolist(), area, crowd)
      assert row["category_id"] == dataset.class_ids[label]
      assert row["image_id"] == record["image_id"]
      seen += 1
  assert seen == len(rows) == 712
