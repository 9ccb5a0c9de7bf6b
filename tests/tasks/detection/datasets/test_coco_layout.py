"""Layouts of the tools that export COCO's format."""

import json
import shutil

import pytest

from hrnet_jax.data import prepared
from hrnet_jax.tasks.detection.datasets import coco_layout
from tests.helpers import coco_miniature as mini

NAME = "coco/layout"


@pytest.fixture
def photos(tmp_path):
  """A folder with the photos, and the content of their annotations."""
  mini.write(tmp_path / "made", {"train": mini.content()})
  return tmp_path / "made/train"


def prepare(tmp_path, notes=None):
  say = notes.append if notes is not None else None
  return prepared.prepare(NAME, tmp_path / "data", source=tmp_path / "source", say=say)[0]


def test_roboflow(tmp_path, photos):
  for split in ("train", "valid"):
    shutil.copytree(photos, tmp_path / "source" / split)
    (tmp_path / f"source/{split}/_annotations.coco.json").write_text(json.dumps(mini.content()))
  dataset = prepare(tmp_path)
  assert dataset.splits() == {"train": 4, "val": 4}
  assert [len(x["classes"]) for x in dataset.source("train")] == [0, 1, 4, 1]


@pytest.mark.parametrize("path", ["annotations/instances_default.json", "result.json", "a/b.json"])
def test_a_single_file_is_split_by_name(tmp_path, photos, path):
  shutil.copytree(photos, tmp_path / "source/images")
  file = tmp_path / "source" / path
  file.parent.mkdir(exist_ok=True)
  file.write_text(json.dumps(mini.content()))
  if path == "a/b.json":
    with pytest.raises(FileNotFoundError, match=r"no instances_SPLIT\.json; the source folder"):
      prepare(tmp_path)
    return
  dataset = prepare(tmp_path)
  assert sum(dataset.splits().values()) == 4
  assert set(dataset.splits()) == {"train", "val"}
  found = coco_layout.find_annotations(tmp_path / "source", "")
  assert found[coco_layout.ALONE].alone


def test_ids_as_text_and_lines_for_polygons(tmp_path, photos):
  content = mini.content()
  content["annotations"] = [
    {**row, "id": f"{row['id']:06}", "image_id": str(row["image_id"])}
    for row in content["annotations"]
  ]
  content["annotations"][0]["segmentation"] = [[1, 2, 3, 4]]
  content["images"] = [{**row, "id": str(row["id"])} for row in content["images"]]
  shutil.copytree(photos, tmp_path / "source/images")
  (tmp_path / "source/result.json").write_text(json.dumps(content))
  notes = []
  dataset = prepare(tmp_path, notes)
  assert sum(dataset.splits().values()) == 4
  assert any("1 annotations have polygons of fewer than three corners" in x for x in notes)
  assert any(x.endswith("not learnt from: 5") for x in notes)


@pytest.mark.parametrize(
  ("change", "message"),
  [
    ({"bbox": [0, 0, 1e308, 4]}, "annotation 5: bbox is"),
    ({"area": 10**400}, "annotation 5: area is"),
    ({"id": 10**30}, "id is a number of more than 63 bits"),
    ({"segmentation": [[0, 0, 3e8, 0, 3e8, 5]]}, r"a polygon reaches to 3e\+08, but the image has"),
  ],
)
def test_impossible_values(tmp_path, photos, change, message):
  content = mini.content()
  content["annotations"][0] |= change
  shutil.copytree(photos, tmp_path / "source/images")
  (tmp_path / "source/result.json").write_text(json.dumps(content))
  with pytest.raises(ValueError, match=message):
    prepare(tmp_path)


def test_two_categories_of_one_name_and_names_that_lead_out(tmp_path, photos):
  shutil.copytree(photos, tmp_path / "source/images")
  file = tmp_path / "source/result.json"
  content = mini.content()
  content["categories"][1]["name"] = "cat"
  file.write_text(json.dumps(content))
  with pytest.raises(ValueError, match="category 'cat': two categories have this name"):
    prepare(tmp_path)
  content = mini.content()
  content["images"][0]["file_name"] = "../../c.jpg"
  file.write_text(json.dumps(content))
  with pytest.raises(ValueError, match=r"image 30: '\.\./\.\./c\.jpg' leads out of the source"):
    prepare(tmp_path)
