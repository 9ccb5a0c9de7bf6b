"""WFLW: several faces in a photo, and parts of the test split."""

import numpy as np
import pytest

from hrnet_jax.data import prepared
from tests.helpers import face_miniatures


@pytest.fixture
def source(tmp_path):
  return face_miniatures.wflw(tmp_path)


def test_parts_of_the_test_split(source, tmp_path):
  dataset, _ = prepared.prepare("wflw", tmp_path / "out", source=source)
  assert dataset.splits() == {"train": 8, "test": 7}
  parts = {"pose": "largepose"} | {
    name: name for name in ("expression", "illumination", "makeup", "occlusion", "blur")
  }
  assert set(dataset.subsets_of("test")) == set(parts)
  test = list(dataset.source("test"))
  for name, file_part in parts.items():
    positions = sorted(face_miniatures.WFLW_PARTS[file_part])
    assert dataset.subsets[name] == ("test", tuple(positions))
    records = list(dataset.source(name))
    assert [record["name"] for record in records] == [test[i]["name"] for i in positions]
    for record, position in zip(records, positions, strict=True):
      np.testing.assert_array_equal(record["points"], test[position]["points"])


def test_two_faces_of_one_photo(source, tmp_path):
  dataset, _ = prepared.prepare("wflw", tmp_path / "out", source=source)
  records = list(dataset.source("test"))
  photo = "1--Riot/1_Riot_1_10.jpg"
  assert [record["name"] for record in records[1:3]] == [f"{photo}#0", f"{photo}#1"]
  assert records[1]["image"] == records[2]["image"] == (source / "images" / photo).read_bytes()
  assert not np.array_equal(records[1]["points"], records[2]["points"])
  assert records[0]["name"] == "0--Riot/0_Riot_0_0.jpg"


def test_boxes_of_the_tables_are_those_of_the_landmarks(source, tmp_path):
  from hrnet_jax.tasks.landmarks.datasets import tables

  dataset, _ = prepared.prepare("wflw", tmp_path / "out", source=source)
  for record in dataset.source("train"):
    center, scale = tables.box_of_points(record["points"])
    assert (center.tolist(), scale) == (record["center"].tolist(), float(record["scale"]))


def moved_point(table, lines):
  cells = lines[2].split(",")
  cells[10] = str(float(cells[10]) + 0.25)
  table.write_text("\n".join([*lines[:2], ",".join(cells), *lines[3:]]) + "\n")


def row_of_another_split(table, lines):
  train = table.with_name("face_landmarks_wflw_train.csv").read_text().splitlines()
  table.write_text("\n".join([*lines[:2], train[1], *lines[3:]]) + "\n")


def row_twice(table, lines):
  table.write_text("\n".join([*lines[:2], lines[1], *lines[3:]]) + "\n")


@pytest.mark.parametrize("damage", [moved_point, row_of_another_split, row_twice])
def test_row_of_a_part_that_the_test_split_lacks(damage, source, tmp_path):
  table = source / "face_landmarks_wflw_test_expression.csv"
  damage(table, table.read_text().splitlines())
  message = r"expression\.csv, row 3: no face of .*\.jpg in .*wflw_test\.csv has these landmarks"
  with pytest.raises(ValueError, match=message):
    prepared.prepare("wflw", tmp_path / "out", source=source)


def test_part_without_a_table(source, tmp_path):
  (source / "face_landmarks_wflw_test_blur.csv").unlink()
  with pytest.raises(FileNotFoundError, match=r"test_blur\.csv: no such file; .*has to hold"):
    prepared.prepare("wflw", tmp_path / "out", source=source)
