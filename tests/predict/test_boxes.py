"""Boxes of faces from a user's file: both formats, and every way to get them wrong."""

import json

import pytest

from hrnet_jax.predict.boxes import read_boxes

HEADER = "photo,x0,y0,x1,y1\n"
BOXES = {"a.jpg": [(1.5, 2, 30, 40), (50, 2, 80, 33)], "b.jpg": [(-4, 0, 9, 9)]}


def test_csv_and_json_give_the_same(tmp_path):
  table = "score,photo,x1,y1,x0,y0\n.9,a.jpg,30,40,1.5,2\n.8,b.jpg,9,9,-4,0\n.7,a.jpg,80,33,50,2\n"
  (tmp_path / "boxes.csv").write_text("\ufeff" + table, encoding="utf-8")
  rows = [
    {"photo": name, "x0": x0, "y0": y0, "x1": x1, "y1": y1, "score": 1}
    for name, boxes in BOXES.items()
    for x0, y0, x1, y1 in boxes
  ]
  (tmp_path / "boxes.json").write_text(json.dumps(rows))
  assert read_boxes(tmp_path / "boxes.csv") == BOXES
  assert read_boxes(tmp_path / "boxes.json") == BOXES


@pytest.mark.parametrize(
  ("text", "message"),
  [
    ("photo,x0,y0,x1\n", r"boxes\.csv: no column 'y1' in the header; expected photo,x0,y0,x1,y1"),
    ("", r"no column 'photo' in the header"),
    (HEADER, r"boxes\.csv: no box in it"),
    (HEADER + "a.jpg,1,2,3\n", r"row 2 has no 'y1'"),
    (HEADER + "a.jpg,1,2,3,4\nb.jpg,1,2,,4\n", r"row 3 has no 'x1'"),
    (HEADER + "a.jpg,1,two,3,4\n", r"row 2: y0 is 'two', expected a finite number"),
    (HEADER + "a.jpg,1,2,nan,4\n", r"row 2: x1 is 'nan', expected a finite number"),
    (HEADER + "a.jpg,5,2,3,4\n", r"row 2: the box \[5\.0, 2\.0, 3\.0, 4\.0\] is empty"),
    (HEADER + "a.jpg,1,4,3,4\n", r"row 2: .* expected x0 < x1 and y0 < y1"),
  ],
)
def test_wrong_tables_are_explained(text, message, tmp_path):
  path = tmp_path / "boxes.csv"
  path.write_text(text)
  with pytest.raises(ValueError, match=message):
    read_boxes(path)


@pytest.mark.parametrize(
  ("text", "message"),
  [
    ("{", r"boxes\.json: not valid JSON"),
    ('{"a.jpg": [1, 2, 3, 4]}', r"expected a list of objects with the keys photo, x0"),
    ('[{"photo": "a.jpg", "x0": 1, "y0": 2, "x1": 3}]', r"entry 1 has no 'y1'"),
    ('[{"photo": "a.jpg", "x0": 1, "y0": [], "x1": 3, "y1": 4}]', r"entry 1: y0 is \[\]"),
  ],
)
def test_wrong_json_is_explained(text, message, tmp_path):
  path = tmp_path / "boxes.json"
  path.write_text(text)
  with pytest.raises(ValueError, match=message):
    read_boxes(path)


@pytest.mark.parametrize(
  ("name", "content", "message"),
  [
    ("boxes.json", b"[" * 100_000, "nested too deeply"),
    ("boxes.json", b"[\xff]", "line 1: not text in UTF-8"),
    ("boxes.csv", b"photo,x0\n\xff", "line 2: not text in UTF-8"),
    ("boxes.csv", HEADER.encode() + b'"' + b"a" * 200_000, "not CSV: field larger"),
    ("boxes.json", json.dumps([{"photo": "a", **dict.fromkeys(("x0", "y0", "x1", "y1"), 10**400)}])
      .encode(), "x0 is 1000.*expected a finite number"),
  ],
)  # fmt: skip
def test_files_that_are_no_tables_are_named(name, content, message, tmp_path):
  (tmp_path / name).write_bytes(content)
  with pytest.raises(ValueError, match=rf"{name}.*{message}"):
    read_boxes(tmp_path / name)


def test_utf_16_is_read(tmp_path):
  (tmp_path / "boxes.csv").write_text(HEADER + "a.jpg,1,2,3,4\n", encoding="utf-16")
  assert read_boxes(tmp_path / "boxes.csv") == {"a.jpg": [(1, 2, 3, 4)]}
