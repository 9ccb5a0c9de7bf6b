"""Annotations in COCO's format that nobody should hand over: prepared right, or refused."""

import copy
import json
import os

import numpy as np
import pytest

from hrnet_jax.data import prepared
from hrnet_jax.ops import rle
from tests.helpers import coco_miniature, hostile

NAME = "coco/hostile"
SIZE = [40, 49]  # of the image of the first annotation
LONG = int("9" * 400)


def annotation(**values):
  return lambda content: content["annotations"][0].update(values)


def image(**values):
  return lambda content: content["images"][0].update(values)


def category(**values):
  return lambda content: content["categories"][0].update(values)


def polygon(*numbers):
  return annotation(segmentation=[list(numbers)])


def counts(value, size=SIZE):
  return annotation(segmentation={"counts": value, "size": size})


REFUSED = {
  "a corner at 3e8": (polygon(0, 0, 3e8, 0, 9, 9), "a polygon reaches to 3e+08"),
  "a corner at 1e300": (polygon(0, 0, 1e300, 0, 9, 9), "a polygon reaches to 1e+300"),
  "a corner at 1e6": (polygon(0, 0, 1e6, 0, 9, 9), "a polygon reaches to 1e+06"),
  "a corner at NaN": (polygon(0, 0, float("nan"), 0, 9, 9), "finite numbers"),
  "a corner at infinity": (polygon(0, 0, float("inf"), 0, 9, 9), "finite numbers"),
  "a corner of 400 digits": (polygon(0, 0, LONG, 0, 9, 9), "finite numbers"),
  "a corner of text": (polygon(0, 0, "1e", 0, 9, 9), "finite numbers"),
  "a polygon in a polygon": (annotation(segmentation=[[[0, 0, 9, 0, 9, 9]]]), "not a list of fin"),
  "outlines without end": (polygon(*[0, 0, 400, 0, 0, 40] * 5000), "pixels long, but the image"),
  "a hundred thousand polygons": (
    annotation(segmentation=[[0, 0, 400, 0, 400, 400]] * 100_000),
    "100000 polygons; an object can have",
  ),
  "five numbers": (polygon(0, 0, 9, 0, 9), "finite numbers x0, y0"),
  "text for polygons": (annotation(segmentation="0 0 9 9"), "bad segmentation"),
  "boxes of 1e308": (annotation(bbox=[0, 0, 1e308, 1e308]), "bbox is [0, 0, 1e+308, 1e+308]"),
  "a box at -1e308": (annotation(bbox=[-1e308, 0, 5, 5]), "bbox is"),
  "a box of 400 digits": (annotation(bbox=[0, 0, LONG, 4]), "bbox is"),
  "a box of NaN": (annotation(bbox=[0, 0, float("nan"), 4]), "bbox is"),
  "a box of text": (annotation(bbox=["0", "0", "9", "9"]), "bbox is"),
  "three numbers": (annotation(bbox=[0, 0, 9]), "bbox is"),
  "an area of 1e300": (annotation(area=1e300), "area is 1e+300"),
  "an area of 400 digits": (annotation(area=LONG), "area is 9999"),
  "an area of NaN": (annotation(area=float("nan")), "area is nan"),
  "an id of 1e30": (annotation(id=1e30), "id is 1e+30"),
  "an id of 400 digits": (annotation(id=LONG), "more than 63 bits"),
  "an id of 2**63": (annotation(id=2**63), "more than 63 bits"),
  "an image id of 2**40": (image(id=2**40), "expected an id between 0 and"),
  "an image id of -1": (image(id=-1), "expected an id between 0 and"),
  "an image of 400 digits": (image(height=LONG), "more than 63 bits"),
  "an image of no height": (image(height=0), "width and height are"),
  "an image of -5": (image(width=-5), "width and height are"),
  "another size": (image(width=10**9), "are [40, 1000000000]"),
  "an id that is true": (annotation(id=True), "expected a whole number"),
  "runs that are negative": (counts([5, -10, 1965]), "the run lengths are of"),
  "runs that wrap": (counts([2**32, 1960 - 2**32]), "the run lengths are of"),
  "runs of 2**63": (counts([2**63, 5]), "run lengths"),
  "runs of 400 digits": (counts([LONG, 5]), "run lengths"),
  "too few runs": (counts([5, 5]), "the run lengths are of 10 pixels"),
  "too many runs": (counts([1960, 1960]), "the run lengths are of 3920 pixels"),
  "runs of halves": (counts([0.5, 1959.5]), "whole numbers"),
  "runs of nothing": (counts([]), "run lengths"),
  "runs of another size": (counts([4], [2, 2]), "size is [2, 2]"),
  "runs of a huge size": (counts([10**18], [10**9, 10**9]), "size is"),
  "text that wraps": (counts("ooooooooo0" * 3), "damaged"),
  "text of 2**34": (counts("PPPPPP0" + "0"), "the run lengths are of"),
  "text that is cut off": (counts("ooo"), "damaged"),
  "text of other letters": (counts("\u00e9\u00e9"), "damaged"),
  "empty text": (counts(""), "damaged"),
  "counts of null": (counts(None), "run lengths"),
  "outside by ..": (image(file_name="a/../../outside.jpg"), "leads out of the source folder"),
  "outside by backslashes": (image(file_name="..\\outside.jpg"), "leads out of the source"),
  "an absolute path": (image(file_name="/etc/passwd"), "leads out of the source folder"),
  "a drive": (image(file_name="C:\\a.jpg"), "leads out of the source folder"),
  "a long name": (image(file_name="n" * 5000), "no such file"),
  "a name with a zero": (image(file_name="a\0.jpg"), "no such file"),
  "a folder": (image(file_name="."), "no such file"),
  "no name": (image(file_name=""), "expected the name of a file"),
  "half a letter": (image(file_name="\ud800.jpg"), "is not text"),
  "a category of half a letter": (category(name="\udfff"), "is not text"),
  "a category of a number": (category(name=5), "has no name"),
  "a category of 1e30": (category(id=1e30), "id is 1e+30"),
}


def source_of(tmp_path, change):
  content = coco_miniature.content()
  damaged = copy.deepcopy(content)
  change(damaged)
  source = coco_miniature.write(tmp_path / "source")
  (source / "annotations/instances_train.json").write_text(json.dumps(damaged))
  if damaged["categories"] != content["categories"]:  # which are the same in all splits
    (source / "annotations/instances_val.json").unlink()
  return source


@pytest.mark.parametrize("kind", REFUSED)
def test_refused(tmp_path, kind):
  change, message = REFUSED[kind]
  said = hostile.prepare(NAME, source_of(tmp_path, change))
  assert message in said
  assert "instances_train.json" in said


FILES = {
  "nested a million deep": ("[" * 10**6, "nested too deeply"),
  "nested in images": ('{"images": ' + "[" * 10**6, "nested too deeply"),
  "nested dictionaries": ('{"a":' * 10**6, "nested too deeply"),
  "a number of 5000 digits": ('{"images": [{"id": ' + "9" * 5000 + "}]}", "not valid JSON"),
  "cut off": ('{"images": [{"id": 5', "cut off"),
  "empty": ("", "not valid JSON"),
  "a list": ("[]", 'no list "images"'),
  "null": ("null", 'no list "images"'),
  "lists of numbers": ('{"images": [1], "annotations": [], "categories": []}', "no list"),
  "no images": ('{"images": [], "annotations": [], "categories": [{"id":1,"name":"a"}]}', "no im"),
  "no categories": ('{"images": [], "annotations": [], "categories": []}', "no categories"),
}


@pytest.mark.parametrize("kind", FILES)
def test_files_that_are_refused(tmp_path, kind):
  content, message = FILES[kind]
  source = coco_miniature.write(tmp_path / "source")
  for split in ("train", "val"):
    (source / f"annotations/instances_{split}.json").write_text(content)
  assert message in hostile.prepare(NAME, source)


def test_a_pipe_for_annotations_is_none(tmp_path):
  source = coco_miniature.write(tmp_path / "source")
  (source / "annotations/instances_train.json").unlink()
  os.mkfifo(source / "annotations/instances_train.json")
  assert "instances_val.json" in str(sorted((source / "annotations").iterdir()))
  assert not hostile.prepare(NAME, source)
  assert list(prepared.open_dataset(NAME, tmp_path / "data").splits()) == ["val"]


def test_a_photo_that_never_ends(tmp_path):
  source = coco_miniature.write(tmp_path / "source")
  (source / "train/a.jpg").unlink()
  (source / "train/a.jpg").symlink_to("/dev/zero")
  assert "a.jpg: no such file" in hostile.prepare(NAME, source)


def rectangle(x0, y0, x1, y1):
  mask = np.zeros(SIZE, np.uint8)
  mask[y0:y1, x0:x1] = 1
  return mask


READ = {
  "outside of the image": (polygon(-30, -30, 300, -30, 300, 300, -30, 300),
                           rectangle(0, 0, 49, 40)),
  "more corners than pixels": (polygon(*([4, 2, 24, 2, 24, 12, 4, 12] * 200)), None),
  "a thousand polygons": (annotation(segmentation=[[4, 2, 24, 2, 24, 12, 4, 12]] * 1000),
                        rectangle(4, 2, 24, 12)),
  "a box of nothing": (annotation(bbox=[5, 5, 0, 0]), rectangle(4, 2, 24, 12)),
  "escapes in a name": (category(name="\x1b[31mcat"), rectangle(4, 2, 24, 12)),
  "an id of text": (annotation(id="5"), rectangle(4, 2, 24, 12)),
}  # fmt: skip


@pytest.mark.parametrize("kind", READ)
def test_read(tmp_path, kind):
  change, mask = READ[kind]
  said = hostile.prepare(NAME, source_of(tmp_path, change))
  assert not said
  dataset = prepared.open_dataset(NAME, tmp_path / "data")
  (record,) = [x for x in dataset.source("train") if x["name"] == "c"]
  found = rle.decode(json.loads(record["masks"])[0], SIZE)
  if mask is not None:
    np.testing.assert_array_equal(found, mask)
