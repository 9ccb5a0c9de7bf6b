"""Files of annotations: what is read, and what is wrong with a row in words."""

import json

import pytest

from hrnet_jax.data.reading import Reading
from hrnet_jax.tasks.detection.datasets import coco_json
from tests.helpers import coco_miniature as mini


def read(tmp_path, content):
  folder = mini.write(tmp_path, {"val": mini.content()})
  path = folder / "annotations" / "instances_val.json"
  path.write_text(json.dumps(content))
  read = coco_json.read_lists(path)
  categories = coco_json.read_categories(read, path)
  reading = Reading(folder)
  photos = coco_json.read_photos(read, path, [folder / "val"], categories, reading)
  reading.problems.require_none()
  return photos


def test_photos_by_id_with_their_objects(tmp_path):
  photos = read(tmp_path, mini.content())
  assert [p.image_id for p in photos] == [10, 20, 30, 40]
  assert [[x.id for x in p.objects] for p in photos] == [[], [2], [5, 6, 9, 11], [1]]
  assert photos[2].shape == (40, 49)
  assert photos[2].size > photos[2].image.stat().st_size
  assert photos[0].cache_key() != photos[3].cache_key()


@pytest.mark.parametrize(
  ("change", "ignored"),
  [
    ({}, False),
    ({"ignore": 1}, True),
    ({"iscrowd": 1}, True),
    ({"iscrowd": True, "ignore": False}, True),
    ({"iscrowd": "1"}, True),
    ({"iscrowd": "0", "ignore": "0"}, False),
    ({"iscrowd": None}, False),
    ({"area": 0}, True),
    ({"bbox": [5, 5, 0.9, 30]}, True),
    ({"bbox": [5, 5, 30, 0.9]}, True),
    ({"bbox": [5, 5, 1, 1]}, False),
    ({"bbox": [49, 5, 10, 10]}, True),  # beyond the right edge of an image 49 wide
    ({"bbox": [48.5, 5, 10, 10]}, False),
    ({"bbox": [-10, 5, 10, 10]}, True),
    ({"bbox": [5, -10, 10, 10.5]}, False),
  ],
)
def test_what_is_not_learnt_from(tmp_path, change, ignored):
  content = mini.content()
  content["annotations"][0] |= change
  assert read(tmp_path, content)[2].objects[0].ignored is ignored


@pytest.mark.parametrize(
  ("where", "change", "message"),
  [
    (("images", 0), {"id": "x"}, "image x: id is 'x', expected a whole number"),
    (("images", 0), {"id": 2**31}, "image 2147483648: expected an id between 0 and 2147483647"),
    (("images", 0), {"width": 0}, "image 30: width and height are 0 and 40"),
    (("images", 0), {"height": None}, "image 30: height is None"),
    (("images", 0), {"file_name": ""}, "image 30: file_name is ''"),
    (("images", 0), {"id": 10}, "image 10: this id is there twice"),
    (("images", 0), {"file_name": "a.jpg"}, "image 10: a.jpg is that of .*image 30, too"),
    (("categories", 0), {"id": 3}, "category '(cat|dog)': id 3 is that of '(cat|dog)', too"),
    (("categories", 0), {"id": 1.5}, "category 'cat': id is 1.5, expected a whole number"),
    (("categories", 0), {"name": None}, "category 7: has no name"),
    (("annotations", 0), {"id": None}, "annotation None: id is None"),
    (("annotations", 0), {"id": 6}, "annotation 6: this id is there twice"),
    (("annotations", 0), {"image_id": 99}, 'annotation 5: image_id is 99, .*the "images"'),
    (("annotations", 0), {"category_id": 8}, 'annotation 5: category_id is 8, .*"categories"'),
    (("annotations", 0), {"bbox": [1, 2, 3]}, r"annotation 5: bbox is \[1, 2, 3\], expected x"),
    (("annotations", 0), {"bbox": [1, 2, 3, float("nan")]}, "annotation 5: bbox is"),
    (("annotations", 0), {"area": "big"}, "annotation 5: area is 'big'"),
  ],
)
def test_bad_rows_are_named(tmp_path, where, change, message):
  content = mini.content()
  key, row = where
  content[key][row] = content[key][row] | change
  with pytest.raises(ValueError, match=rf"instances_val\.json, {message}"):
    read(tmp_path, content)


@pytest.mark.parametrize(
  ("segmentation", "message"),
  [
    ("x", "expected a list of polygons, or run lengths"),
    ({"size": [40, 49]}, "expected a list of polygons, or run lengths"),
    ({"size": [49, 40], "counts": mini.RUNS}, r"size is \[49, 40\], but .* \[40, 49\]"),
    ({"size": [40, 49], "counts": [1, 2]}, "the run lengths are of 3 pixels"),
    ({"size": [40, 49], "counts": "??"}, "the run lengths are of"),
    ({"size": [40, 49], "counts": 5}, "not a list of whole numbers"),
    ([[1, 1, 2, 2, 3]], "not a list of finite numbers"),
  ],
)
def test_bad_segmentations_are_named(tmp_path, segmentation, message):
  content = mini.content()
  content["annotations"][0]["segmentation"] = segmentation
  found = read(tmp_path, content)[2]
  with pytest.raises(ValueError, match=f"annotation 5: bad segmentation: .*{message}"):
    found.objects[0].mask(found.shape)


@pytest.mark.parametrize(
  ("text", "message"),
  [
    ('{"images": [', ": not valid JSON .*cut off"),
    ("[]", ': no list "images"'),
    ('{"images": [], "annotations": 3, "categories": []}', ': no list "annotations"'),
    ('{"images": [1], "annotations": [], "categories": []}', ': no list "images"'),
    ("\xff", ", line 1: not text in UTF-8"),
  ],
)
def test_bad_files(tmp_path, text, message):
  path = tmp_path / "instances_val.json"
  path.write_bytes(text.encode("latin-1"))
  with pytest.raises(ValueError, match=rf"instances_val\.json{message}"):
    coco_json.read_lists(path)


def test_files_without_content(tmp_path):
  with pytest.raises(ValueError, match="no categories"):
    read(tmp_path, mini.content() | {"categories": [], "annotations": []})
  with pytest.raises(ValueError, match="no images"):
    read(tmp_path, mini.content() | {"images": [], "annotations": []})
