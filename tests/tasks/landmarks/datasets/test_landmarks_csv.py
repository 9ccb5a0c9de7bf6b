"""A user's own landmarks: tables as they come, boxes by rule, and what is not as it has to be."""

import io
import subprocess
import sys

import numpy as np
from PIL import Image
import pytest

from hrnet_jax.data import prepared
from tests.helpers import face_miniatures

NAME = "landmarks_csv/mine"


@pytest.fixture
def source(tmp_path):
  return face_miniatures.landmarks_csv(tmp_path)


@pytest.fixture
def folder(tmp_path):
  """Photos `0.png` to `4.png` of 40x30 pixels beside where a table would be."""
  return face_miniatures.noise_photos(tmp_path / "folder", 5)


def write(path, header, *rows):
  path.write_text("\n".join(",".join(str(cell) for cell in row) for row in [header, *rows]) + "\n")


def prepare(source, tmp_path):
  return prepared.prepare(NAME, tmp_path / "out", source=source)[0]


def test_tables_names_and_pairs(source, tmp_path):
  dataset = prepare(source, tmp_path)
  assert dataset.splits() == {"train": 9, "val": 5}
  assert dataset.landmark_names == (
    "left eye", "right eye", "nose", "left mouth corner", "right mouth corner"
  )  # fmt: skip
  assert dataset.flip_pairs == ((0, 1), (3, 4))
  assert [r["name"] for r in dataset.source("val")] == [
    "val_0.jpg", "val_1.jpg#0", "val_1.jpg#1", "val_2.jpg", "val_3.jpg"
  ]  # fmt: skip
  cells = (source / "val.csv").read_text().splitlines()[3].split(",")
  record = dataset.source("val")[2]
  assert record["points"].ravel().tolist() == [float(cell) for cell in cells[1:]]
  assert record["image"] == (source / "images/val_1.jpg").read_bytes()
  # Without columns of a box: that of the landmarks, widened to whole pixels.
  low, high = np.floor(record["points"].min(0)), np.ceil(record["points"].max(0))
  assert record["center"].tolist() == ((low + high) / 2).tolist()
  assert float(record["scale"]) == (high - low).max() / 200
  assert float(record["box_size"]) == 200 * float(record["scale"])


def test_prepare_command(source, tmp_path):
  command = [sys.executable, "-m", "hrnet_jax.prepare", f"--dataset={NAME}", f"--source={source}"]
  done = subprocess.run(
    [*command, f"--data_dir={tmp_path / 'out'}"], capture_output=True, text=True
  )
  assert done.returncode == 0, done.stderr
  assert "  train        9 images, up to " in done.stdout
  assert "  5 keypoints, 2 pairs" in done.stdout
  (source / "val.csv").write_text("image_name,x0,y0\nval_0.jpg,3,nan\n")
  done = subprocess.run(
    [*command, f"--data_dir={tmp_path / 'out'}"], capture_output=True, text=True
  )
  assert done.returncode == 1
  assert "val.csv, row 2: y0 is 'nan', expected a finite number" in done.stderr
  assert len(prepared.open_dataset(NAME, tmp_path / "out").source("val")) == 5


def test_columns_in_any_order(folder, tmp_path):
  header = ["image_name", "y1", "original_0_x", "box_size", "center_h", "y0", "scale", "x1",
            "center_w"]  # fmt: skip
  write(folder / "train.csv", header, ["0.png", 9, 2, 33, 15, 3, 0.1, 8, 20])
  write(folder / "val.csv", ["image_name", "x0", "y0", "x1", "y1"], ["1.png", 2.5, 3, 8, 9])
  dataset = prepare(folder, tmp_path)
  (train,), (val,) = (list(dataset.source(split)) for split in ("train", "val"))
  assert train["points"].tolist() == [[2, 3], [8, 9]]
  assert train["center"].tolist() == [20, 15]
  assert (float(train["scale"]), float(train["box_size"])) == (0.1, 33)
  assert val["points"].tolist() == [[2.5, 3], [8, 9]]
  assert (val["center"].tolist(), float(val["scale"])) == ([5, 6], 0.03)
  assert dataset.landmark_names == ("0", "1")
  assert dataset.flip_pairs == ()


def test_box_by_its_corners(folder, tmp_path):
  header = ["image_name", "x_min", "y_min", "x_max", "y_max", "x0", "y0"]
  for split in ("train", "val"):
    write(folder / f"{split}.csv", header, ["0.png", 4, 5.5, 24, 15.5, 7, 8])
  record = prepare(folder, tmp_path).source("train")[0]
  assert record["center"].tolist() == [14, 10.5]
  assert (float(record["scale"]), float(record["box_size"])) == (0.1, 20)


def test_one_table_is_split_by_photo(folder, tmp_path):
  rows = [[f"{i % 5}.png", 3 + i, 4, 9 + i, 8 + i] for i in range(15)]
  write(folder / "landmarks.csv", ["image_name", "x0", "y0", "x1", "y1"], *rows)
  dataset = prepare(folder, tmp_path)
  photos = {
    split: {record["name"].partition("#")[0] for record in dataset.source(split)}
    for split in ("train", "val")
  }
  assert sum(dataset.splits().values()) == 15
  assert all(count % 3 == 0 for count in dataset.splits().values())
  assert photos["val"]
  assert not photos["train"] & photos["val"]


def test_photos_are_seen_upright(folder, tmp_path):
  exif = Image.Exif()
  exif[0x112] = 6
  file = io.BytesIO()
  Image.new("RGB", (40, 30)).save(file, "JPEG", exif=exif)
  (folder / "turned.jpg").write_bytes(file.getvalue())
  for split in ("train", "val"):
    write(folder / f"{split}.csv", ["image_name", "x0", "y0", "x1", "y1"],
          ["turned.jpg", 2, 35, 20, 38])  # fmt: skip
  dataset = prepare(folder, tmp_path)
  assert dataset.max_size("train") == (40, 30)
  assert dataset.source("train")[0]["image"] == file.getvalue()


HEADER = ["image_name", "x0", "y0", "x1", "y1"]
GOOD = ["1.png", 3, 4, 20, 22]
BOX = ["scale", "center_w", "center_h"]
CORNERS = ["x_min", "y_min", "x_max", "y_max"]
CELLS = {"image_name": "0.png", "x0": 3, "y0": 4, "x1": 20, "y1": 22, "x_max": 30, "y_max": 29}


@pytest.mark.parametrize(
  ("header", "row", "message"),
  [
    (HEADER, [*GOOD, 5], r"train\.csv, row 3: 6 columns, but the header has 5"),
    (HEADER, ["1.png", 3, 4, "x", 9], r"train\.csv, row 3: x1 is 'x', expected a finite number"),
    (HEADER, ["1.png", 3, 4, "", 9], r"train\.csv, row 3: x1 is ''"),
    (HEADER, ["1.png", 7, 4, 7, 4], r"row 3: all landmarks lie in one place"),
    (HEADER, ["0.png", 3, 4, 20, 22], r"row 3: 0\.png with the same landmarks stands in .*row 2"),
    (HEADER, ["1.png", 300, 4, 320, 22], r"row 3: the box, center \[310\.0, 13\.0\] .* of 40x30"),
    (HEADER, ["no.png", 3, 4, 20, 22], r"row 3: no image .*no\.png"),
    (HEADER[1:], GOOD[1:], r"train\.csv: the first column is 'x0', expected 'image_name'"),
    ([*HEADER, "cneter_w"], [*GOOD, 1], r"unknown column 'cneter_w'; known: scale, center_w"),
    ([*HEADER, "x0"], [*GOOD, 1], r"train\.csv: two columns 'x0'"),
    ([*HEADER, "original_1_y"], [*GOOD, 1], r"train\.csv: two columns 'original_1_y'"),
    ([*HEADER, "x2"], [*GOOD, 1], r"train\.csv: no column y2 \(nor original_2_y\)"),
    ([*HEADER, "scale"], [*GOOD, 1], r"train\.csv: no column 'center_w', although"),
    ([*HEADER, *BOX], [*GOOD, 0, 9, 9], r"row 3: scale is 0, expected a positive number"),
    ([*HEADER, *BOX], [*GOOD, 0.1, 300, 9], r"row 3: the box, center \[300\.0, 9\.0\]"),
    ([*HEADER, *BOX, "box_size"], [*GOOD, 1, 9, 9, 0], r"row 3: box_size is 0"),
    ([*HEADER, *CORNERS], [*GOOD, 9, 9, 9, 20], r"row 3: the box from .* to .* is empty"),
    ([*HEADER, *CORNERS], [*GOOD, 9, 9, 5, 20], r"row 3: the box from .* to .* is empty"),
    ([*HEADER, *BOX, *CORNERS], [*GOOD, 1, 9, 9, 1, 1, 5, 5], r"has both .*; keep one"),
    (["image_name", *BOX], ["1.png", 1, 9, 9], r"train\.csv: no column x0"),
  ],
)
def test_what_is_wrong_in_a_table_is_named(header, row, message, folder, tmp_path):
  good = [CELLS.get(column, 1) for column in header]
  write(folder / "train.csv", header, good, row)
  write(folder / "val.csv", HEADER, GOOD)
  with pytest.raises((ValueError, FileNotFoundError), match=message):
    prepare(folder, tmp_path)
  assert not (tmp_path / "out/landmarks_csv").exists()


def no_val(folder):
  (folder / "val.csv").unlink()


def both(folder):
  write(folder / "landmarks.csv", HEADER, GOOD)


def none(folder):
  no_val(folder)
  (folder / "train.csv").unlink()


def single_photo(folder):
  none(folder)
  both(folder)


def another_count(folder):
  write(folder / "val.csv", HEADER[:3], GOOD[:3])


def too_few_names(folder):
  (folder / "names.txt").write_text("left\n")


def name_twice(folder):
  (folder / "names.txt").write_text("left\nleft\n")


def pair_of_three(folder):
  (folder / "flip_pairs.txt").write_text("\n0 1 2\n")


def pair_of_words(folder):
  (folder / "flip_pairs.txt").write_text("left right\n")


def pair_beyond(folder):
  (folder / "flip_pairs.txt").write_text("1 2\n")


def pair_with_itself(folder):
  (folder / "flip_pairs.txt").write_text("1 1\n")


def pair_twice(folder):
  (folder / "flip_pairs.txt").write_text("0 1\n1 0\n")


def not_an_image(folder):
  (folder / "1.png").write_bytes(b"not an image")


@pytest.mark.parametrize(
  ("damage", "message"),
  [
    (no_val, r"val\.csv: no such file, although there is train\.csv"),
    (both, r"landmarks\.csv: lies beside train\.csv; keep one or the other"),
    (none, r"landmarks\.csv: no such file; the source folder has to hold train\.csv and val\.csv"),
    (single_photo, r"1\.png: the only image; at least 2 are needed"),
    (another_count, r"val\.csv: 1 landmarks, but the first table has 2"),
    (too_few_names, r"names\.txt: 1 names, but the tables have 2 landmarks"),
    (name_twice, r"names\.txt: the name 'left' stands there twice"),
    (pair_of_three, r"flip_pairs\.txt, line 2: '0 1 2', expected the numbers of two landmarks"),
    (pair_of_words, r"flip_pairs\.txt, line 1: 'left right', expected the numbers"),
    (pair_beyond, r"flip_pairs\.txt, line 1: '1 2', expected two of the landmarks 0 to 1"),
    (pair_with_itself, r"flip_pairs\.txt, line 1: '1 1', expected two of the landmarks"),
    (pair_twice, r"flip_pairs\.txt, line 2: landmark 1 has a partner already"),
    (not_an_image, r"val\.csv, row 2: .*1\.png: corrupt"),
  ],
)
def test_what_is_wrong_in_a_folder_is_named(damage, message, folder, tmp_path):
  write(folder / "train.csv", HEADER, ["0.png", 3, 4, 20, 22])
  write(folder / "val.csv", HEADER, GOOD)
  damage(folder)
  with pytest.raises((ValueError, FileNotFoundError), match=message):
    prepare(folder, tmp_path)
  assert not (tmp_path / "out/landmarks_csv").exists()


@pytest.mark.parametrize(
  ("row", "message"),
  [
    (("1.png", 5, 6, -1, -1), r"row 3: landmark 1 is at -1, -1, which tools write for one that is"),
    (("1.png", 0, 0, 9, 9), r"row 3: landmark 0 is at 0, 0, which tools write for"),
    (
      ("1.png", 0.25, 0.5, 0.75, 0.5),
      r"row 3: all landmarks lie between 0 and 1, which are shares",
    ),
    (("../1.png", 5, 6, 9, 9), r"row 3: '\.\./1\.png' leads out of the source folder"),
  ],
)
def test_places_that_no_landmark_has(folder, tmp_path, row, message):
  header = ["image_name", "x0", "y0", "x1", "y1"]
  write(folder / "landmarks.csv", header, ["0.png", 1, 2, 9, 9], row)
  with pytest.raises(ValueError, match=message):
    prepare(folder, tmp_path)


def test_a_column_of_a_huge_number_is_refused(folder, tmp_path):
  write(folder / "landmarks.csv", ["image_name", "x99999999999", "y0"], ["0.png", 1, 2])
  with pytest.raises(ValueError, match=r"landmark 99999999999; there can be 5000, from 0"):
    prepare(folder, tmp_path)


def test_backslashes_are_slashes(folder, tmp_path):
  (folder / "images/sub").mkdir(parents=True)
  for index in range(5):
    (folder / f"{index}.png").rename(folder / f"images/sub/{index}.png")
  header = ["image_name", "x0", "y0", "x1", "y1"]
  write(folder / "landmarks.csv", header, *([f"sub\\{i}.png", 1, 2, 9, 9] for i in range(5)))
  assert sum(prepare(folder, tmp_path).splits().values()) == 5
