"""Crops of objects: which, where, and the folders they go to."""

import json

import numpy as np
from PIL import Image
import pytest

from hrnet_jax.data import images, prepared
from tools import crop_coco_objects as script


@pytest.fixture
def coco(tmp_path):
  """Two photos in each split: cats, a small dog, a crowd and dogs."""
  source = tmp_path / "coco"
  (source / "annotations").mkdir(parents=True)
  boxes = [
    (1, 1, [10, 20, 40, 30], 0),
    (1, 2, [50, 50, 20, 10], 0),  # too small
    (2, 1, [0, 0, 90, 60], 1),  # a crowd
    (2, 2, [60, 10, 36, 32], 0),
    (2, 1, [0, 0, 32, 20], 0),
  ]
  content = {
    "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "hot dog"}],
    "images": [{"id": n, "file_name": f"{n:03}.jpg"} for n in (1, 2)],
    "annotations": [
      {"id": 10 + i, "image_id": image, "category_id": k, "bbox": box, "iscrowd": crowd}
      for i, (image, k, box, crowd) in enumerate(boxes)
    ],
  }
  for split in script.SPLITS:
    (source / f"{split}2017").mkdir()
    for n in (1, 2):
      Image.new("RGB" if n == 1 else "L", (100, 80)).save(source / f"{split}2017/{n:03}.jpg")
    (source / f"annotations/instances_{split}2017.json").write_text(json.dumps(content))
  return source


def run(coco, tmp_path, *more):
  return script.main([f"--source={coco}", f"--output={tmp_path / 'crops'}", *more])


def test_square_by_hand():
  # 40 wide with 0.1 of it on either side: 48, around (30, 35).
  assert script.square((10, 20, 40, 30), 0.1, (80, 100)) == (6, 11, 54, 59)
  assert script.square((0, 0, 32, 20), 0, (80, 100)) == (0, 0, 32, 26)  # cut at the top
  assert script.square((60.5, 10, 36, 32), 0.25, (80, 100)) == (51, 0, 100, 53)


def test_crops_are_a_source_for_preparing(coco, tmp_path, capsys):
  assert run(coco, tmp_path) == 0
  output = tmp_path / "crops"
  names = sorted(path.relative_to(output).as_posix() for path in output.rglob("*.jpg"))
  one = ["cat/001_10.jpg", "cat/002_14.jpg", "hot dog/002_13.jpg"]
  assert names == [f"train/{name}" for name in one] + [f"val/{name}" for name in one]
  path = output / "train/cat/001_10.jpg"
  assert images.decode_image(path.read_bytes(), "").shape == (48, 48, 3)
  assert capsys.readouterr().out.endswith("2 classes: cat, hot dog\n")
  dataset, _ = prepared.prepare("image_folder_classification/x", tmp_path / "data", source=output)
  assert dataset.class_names == ("cat", "hot dog")
  assert dataset.splits() == {"train": 3, "val": 3}


def test_rare_classes_are_left_out_and_frequent_ones_limited(coco, tmp_path):
  objects = [{"class": "cat", "id": i} for i in range(7)] + [{"class": "dog", "id": 7}]
  assert [item["id"] for item in script.limit(objects, 3)] == [0, 2, 4, 7]
  assert script.limit(objects, 100) == objects
  assert script.frequent([*objects, *objects], 2) == ["cat", "dog"]
  with pytest.raises(ValueError, match="1 classes have 2 objects or more; lower"):
    script.frequent(objects, 2)


def test_errors_are_one_line(coco, tmp_path, capsys):
  assert run(coco, tmp_path, "--min_size=1000") == 1
  assert capsys.readouterr().err.startswith("crop_coco_objects: 0 classes have 1 objects or more")
  assert run(tmp_path / "gone", tmp_path) == 1
  assert "instances_train2017.json" in capsys.readouterr().err
  (tmp_path / "crops").mkdir(exist_ok=True)
  (tmp_path / "crops/mine.txt").write_text("")
  assert run(coco, tmp_path) == 1
  assert "is not empty" in capsys.readouterr().err
  np.testing.assert_array_equal([p.name for p in (tmp_path / "crops").iterdir()], ["mine.txt"])
