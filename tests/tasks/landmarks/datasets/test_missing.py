"""Landmarks that nobody annotated: how tables say so, what is stored, and what is refused."""

import numpy as np
import pytest

from hrnet_jax.cli import main
from hrnet_jax.data import prepared
from hrnet_jax.tasks.landmarks.datasets import missing, tables
from tests.helpers import face_miniatures

NAME = "landmarks_csv/mine"
HEADER = ["image_name", "x0", "y0", "x1", "y1", "x2", "y2"]
WHOLE = [[5, 6], [20, 8], [12, 22]]
NAN = np.nan


@pytest.fixture
def folder(tmp_path):
  """Photos `0.png` to `5.png` of 40x30 pixels beside where a table would be."""
  return face_miniatures.noise_photos(tmp_path / "folder", 6)


def write(folder, *train, header=HEADER):
  """Tables: `train` begins with a face that has all landmarks, `val` is one such."""
  full = {**dict(zip(HEADER, ["0.png", *np.ravel(WHOLE)], strict=True))}
  for split, rows in (("train", train), ("val", ())):
    lines = [header, [full.get(name, 2) for name in header], *rows]
    text = "\n".join(",".join(str(cell) for cell in line) for line in lines)
    (folder / f"{split}.csv").write_text(text + "\n")


def prepare(folder, marks="", said=None):
  options = {"missing": marks} if marks else {}
  notes = []
  dataset, _ = prepared.prepare(
    NAME, folder.parent / "out", source=folder, say=notes.append, **options
  )
  if said is not None:
    said += [x for x in notes if "left out" not in x and "are in train, too" not in x]
  return dataset


@pytest.mark.parametrize(
  ("marks", "cells"),
  [
    ("nan", ("", "")),
    ("nan", ("nan", "NaN")),
    ("minus_one", (-1, -1.0)),
    ("zero", (0, "0.0")),
    ("zero,nan", ("", "nan")),
    ("nan, minus_one", (-1, -1)),
  ],
)
def test_a_landmark_that_is_marked_is_nan(folder, marks, cells):
  write(folder, ["1.png", 5, 6, *cells, 12, 22])
  said = []
  dataset = prepare(folder, marks, said)
  whole, lacking = dataset.source("train")
  np.testing.assert_array_equal(whole["points"], WHOLE)
  np.testing.assert_array_equal(lacking["points"], [[5, 6], [NAN, NAN], [12, 22]])
  assert lacking["annotated"].tolist() == [True, False, True]
  assert whole["annotated"].all()
  assert dataset.source("val")[0]["annotated"].all()
  # The box is that of the landmarks that are there.
  assert (lacking["center"].tolist(), float(lacking["scale"])) == ([8.5, 14], 16 / 200)
  assert said == [
    "1 of 9 landmarks are missing, in 1 of 3 faces; they are neither learnt nor scored"
  ]


@pytest.mark.parametrize(
  ("cells", "message"),
  [
    (("", 8), r"train\.csv, row 3: landmark 1 has y alone, and no x"),
    ((20, "NA"), r"train\.csv, row 3: landmark 1 has x alone, and no y"),
  ],
)
def test_half_a_landmark_is_refused(folder, cells, message):
  write(folder, ["1.png", 5, 6, *cells, 12, 22])
  with pytest.raises(ValueError, match=message):
    prepare(folder, "nan")
  # Visibility 0 says that it is missing whatever its place is.
  header = [*HEADER, "v0", "v1", "v2"]
  write(folder, ["1.png", 5, 6, *cells, 12, 22, 2, 0, 2], header=header)
  lacking = prepare(folder, "visibility").source("train")[1]
  assert lacking["annotated"].tolist() == [True, False, True]


@pytest.mark.parametrize("names", [("v0", "v1", "v2"), ("visible_0", "v1", "original_2_v")])
def test_columns_of_visibility(folder, names):
  header = [*HEADER[:3], names[0], *HEADER[3:], names[2], names[1]]
  rows = [["1.png", 5, 6, 1, 20, 8, 77, 88, 0, 2], ["2.png", "", "", 0, 20, 8, 7, 9, 1, 2]]
  write(folder, *rows, header=header)
  said = []
  _, first, second = prepare(folder, "visibility", said).source("train")
  np.testing.assert_array_equal(first["points"], [[5, 6], [20, 8], [NAN, NAN]])
  np.testing.assert_array_equal(second["points"], [[NAN, NAN], [20, 8], [7, 9]])
  assert said[0].startswith("2 of 12 landmarks are missing, in 2 of 4 faces")


def test_without_a_missing_landmark_the_data_set_is_what_it_was(folder):
  write(folder, ["1.png", 5, 7, 21, 8, 12, 22])
  plain = prepare(folder)
  said = []
  marked = prepare(folder, "nan,minus_one", said)
  assert marked.fingerprint == plain.fingerprint
  assert "annotated" not in marked.source("train")[0]
  assert said == ["no landmark is missing"]


def test_a_landmark_that_train_never_has_is_named(folder):
  write(folder)
  lines = (folder / "train.csv").read_text().replace("12,22", ",")
  (folder / "train.csv").write_text(lines)
  (folder / "names.txt").write_text("left\nright\nchin\n")
  said = []
  prepare(folder, "nan", said)
  assert said[1:] == ["landmark 'chin' is missing in all faces of train: it cannot be learnt"]


@pytest.mark.parametrize(
  ("marks", "row", "message"),
  [
    (
      "",
      ["1.png", 5, 6, "", 9, 1, 2],
      r"row 3: x1 is '', expected .*, give --missing=nan(;|$)",
    ),
    (
      "zero",
      ["1.png", 5, 6, 3, "nan", 1, 2],
      r"y1 is 'nan', .*, give --missing=zero,nan(;|$)",
    ),
    (
      "",
      ["1.png", 5, 6, -1, -1, 1, 2],
      r"landmark 1 is at -1, -1, .*; give --missing=minus_one, ",
    ),
    ("nan", ["1.png", 5, 6, 0, 0, 1, 2], r"landmark 1 is at 0, 0, .*; give --missing=nan,zero, "),
    ("nan", ["1.png", "", "", "", "", "", ""], r"row 3: all landmarks are missing; leave the row"),
    ("nan", ["1.png", "", "", 5, 6, "", ""], r"row 3: all landmarks lie in one place"),
    (
      "nan",
      ["1.png", 5, 6, "inf", 9, 1, 2],
      r"x1 is 'inf', expected a finite number(;|$)",
    ),
    ("nan", ["1.png", "", "", 0.5, 0.25, 0.75, 0.5], r"all landmarks lie between 0 and 1"),
    (
      "nan",
      ["1.png", 5, 6, 1e300, 9, 1, 2],
      r"row 3: a landmark or the box is 1e\+300 pixels",
    ),
    ("visibility", ["1.png", 5, 6, 3, 4, 1, 2], r"no columns of visibility, v0, v1, .*, although"),
    (
      "absent",
      ["1.png", 5, 6, 3, 4, 1, 2],
      r"unknown --missing 'absent'; known: nan, minus_one",
    ),
  ],
)
def test_what_is_wrong_is_named(folder, marks, row, message):
  write(folder, row)
  with pytest.raises(ValueError, match=message):
    prepare(folder, marks)
  assert not (folder.parent / "out/landmarks_csv").exists()


@pytest.mark.parametrize(
  ("marks", "cells", "message"),
  [
    ("", (20, 8, 2), r"has columns of visibility, such as v0; give --missing=visibility to take"),
    ("visibility", (20, 8, 0.5), r"row 3: the visibility of landmark 1 is 0\.5, expected 0 \(not"),
    (
      "visibility",
      ("", "", 1),
      r"landmark 1 has no place, .*, give --missing=visibility,nan(;|$)",
    ),
    ("visibility", (0, 0, 2), r"landmark 1 is at 0, 0, .*give --missing=visibility,zero, leave"),
    ("visibility", (20, 8, ""), r"row 3: v1 is '', expected a finite number(;|$)"),
  ],
)
def test_what_is_wrong_with_visibility_is_named(folder, marks, cells, message):
  header = [*HEADER, "v0", "v1", "v2"]
  write(folder, ["1.png", 5, 6, *cells[:2], 12, 22, 2, cells[2], 2], header=header)
  with pytest.raises(ValueError, match=message):
    prepare(folder, marks)


def test_all_columns_of_visibility_have_to_be_there(folder):
  write(folder, header=[*HEADER, "v0", "v2"])
  with pytest.raises(ValueError, match=r"train\.csv: no column v1 \(nor original_1_v\)"):
    prepare(folder, "visibility")


def test_the_command_counts(folder, capsys):
  write(folder, ["1.png", 5, 6, -1, -1, 12, 22], ["2.png", 5, 6, -1, -1, -1, -1])
  (folder / "train.csv").write_text(
    (folder / "train.csv")
    .read_text()
    .replace("image_name", "image_name,scale,center_w,center_h")
    .replace(".png", ".png,0.1,20,15")
  )  # a face with a single landmark has no box of its own
  arguments = [f"--dataset={NAME}", f"--source={folder}", f"--data_dir={folder.parent / 'out'}"]
  assert main.main(["prepare", *arguments]) == 1
  assert "give --missing=minus_one, leave the row out" in capsys.readouterr().err
  assert main.main(["prepare", *arguments, "--missing=minus_one"]) == 0
  assert "note: 3 of 12 landmarks are missing, in 2 of 4 faces" in capsys.readouterr().err


def test_other_data_sets_know_no_marks(tmp_path):
  with pytest.raises(ValueError, match=r"--missing means nothing to data set 'wflw'; leave it out"):
    prepared.prepare("wflw", tmp_path / "out", source=tmp_path, missing="nan")


@pytest.mark.parametrize(
  ("name", "make", "table"),
  [
    ("face300w", face_miniatures.face300w, "face_landmarks_300w_train.csv"),
    ("wflw", face_miniatures.wflw, "face_landmarks_wflw_train.csv"),
  ],
)
def test_tables_of_the_authors_are_checked_alike(name, make, table, tmp_path):
  root = make(tmp_path)
  lines = (root / table).read_text().splitlines()
  cells = lines[1].split(",")
  cells[4:6] = ["-1", "-1"]
  (root / table).write_text("\n".join([lines[0], ",".join(cells), *lines[2:]]))
  with pytest.raises(ValueError, match=r"row 2: landmark 0 is at -1, -1, .* there; leave the row"):
    prepared.prepare(name, tmp_path / "out", source=root)


def test_aflw_keeps_every_number_of_its_tables(tmp_path):
  root = face_miniatures.aflw(tmp_path)
  table = root / "face_landmarks_aflw_train.csv"
  lines = table.read_text().splitlines()
  cells = lines[1].split(",")
  cells[5:7] = ["0", "0"]
  table.write_text("\n".join([lines[0], ",".join(cells), *lines[2:]]))
  dataset = prepared.prepare("aflw", tmp_path / "out", source=root)[0]
  assert dataset.source("train")[0]["points"][0].tolist() == [0, 0]


def test_a_box_leaves_missing_landmarks_out():
  points = np.array([[3.5, 4.0], [NAN, NAN], [9.0, 20.25]])
  center, scale = tables.box_of_points(points)
  assert (center.tolist(), scale) == ([6, 12.5], 17 / 200)
  assert missing.annotated(points).tolist() == [True, False, True]
