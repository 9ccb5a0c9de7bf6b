"""What all data sets of faces have in common: pairs, subsets, orientation, errors with rows."""

import io
import pathlib

import numpy as np
from PIL import Image
import pytest

from hrnet_jax.data import images, prepared
from hrnet_jax.tasks.landmarks.datasets import aflw, cofw, face68, face300w, wflw
from tests.golden import recipe
from tests.helpers import drawn_faces, face_miniatures

FACTS = {
  "aflw": aflw.FACTS,
  "cofw": cofw.FACTS,
  "face300w": face300w.FACTS,
  "face68": face68.Face68.facts(None, None),
  "wflw": wflw.FACTS,
}
# `flipped[i] = original[permutation[i]]` of the reference, counted from 0.
PERMUTATIONS = {
  "aflw": "5 4 3 2 1 0 11 10 9 8 7 6 14 13 12 17 16 15 18",
  "cofw": "1 0 3 2 6 7 4 5 9 8 11 10 14 15 12 13 17 16 19 18 20 21 23 22 24 25 26 27 28",
  "face300w": (
    "16 15 14 13 12 11 10 9 8 7 6 5 4 3 2 1 0 26 25 24 23 22 21 20 19 18 17 27 28 29 30 35 34 33 "
    "32 31 45 44 43 42 47 46 39 38 37 36 41 40 54 53 52 51 50 49 48 59 58 57 56 55 64 63 62 61 60 "
    "67 66 65"
  ),
  "wflw": (
    "32 31 30 29 28 27 26 25 24 23 22 21 20 19 18 17 16 15 14 13 12 11 10 9 8 7 6 5 4 3 2 1 0 46 "
    "45 44 43 42 50 49 48 47 37 36 35 34 33 41 40 39 38 51 52 53 54 59 58 57 56 55 72 71 70 69 68 "
    "75 74 73 64 63 62 61 60 67 66 65 82 81 80 79 78 77 76 87 86 85 84 83 92 91 90 89 88 95 94 93 "
    "97 96"
  ),
}
PERMUTATIONS["face68"] = PERMUTATIONS["face300w"]
each_data_set = pytest.mark.parametrize("name", sorted(FACTS))


def permutation_of(facts):
  permutation = np.arange(len(facts.landmark_names))
  for first, second in facts.flip_pairs:
    permutation[[first, second]] = permutation[[second, first]]
  return permutation


def mirror(name):
  swapped = {"left": "right", "right": "left"}
  return " ".join(swapped.get(word, word) for word in name.split())


@each_data_set
def test_pairs_are_those_of_the_reference(name):
  expected = [int(index) for index in PERMUTATIONS[name].split()]
  assert permutation_of(FACTS[name]).tolist() == expected


@each_data_set
def test_flipping_twice_is_the_identity(name):
  facts = FACTS[name]
  assert all(first != second for first, second in facts.flip_pairs)
  in_pairs = [index for pair in facts.flip_pairs for index in pair]
  assert len(set(in_pairs)) == len(in_pairs)
  assert set(in_pairs) <= set(range(len(facts.landmark_names)))
  permutation = permutation_of(facts)
  np.testing.assert_array_equal(permutation[permutation], np.arange(len(permutation)))


@each_data_set
def test_pairs_are_the_two_sides_of_one_thing(name):
  names = FACTS[name].landmark_names
  assert len(set(names)) == len(names)
  for own, other in zip(names, permutation_of(FACTS[name]), strict=True):
    assert mirror(own) == names[other]
  assert FACTS[name].class_names == FACTS[name].palette == ()


@each_data_set
def test_pairs_fit_a_face_that_is_equal_on_both_sides(name):
  facts = FACTS[name]
  points = drawn_faces.SCHEMES[len(facts.landmark_names)]()
  np.testing.assert_allclose(points[permutation_of(facts)], points * [-1, 1], atol=1e-12)
  for index, landmark in enumerate(facts.landmark_names):
    side = {"left": -1, "right": 1}.get(landmark.split()[0], 0)
    assert np.sign(np.round(points[index, 0], 9)) == side, landmark


@pytest.mark.parametrize(
  ("name", "normalizer", "ends"),
  [
    ("face300w", "inter_ocular", "eye outer corner"),
    ("wflw", "inter_ocular", "eye outer corner"),
    ("cofw", "inter_ocular", "eye outer corner"),
    ("wflw", "inter_pupil", "pupil"),
    ("cofw", "inter_pupil", "pupil"),
  ],
)
def test_normalizers_reach_from_left_to_right(name, normalizer, ends):
  (left,), (right,) = FACTS[name].normalizers[normalizer]
  assert FACTS[name].landmark_names[left] == f"left {ends}"
  assert FACTS[name].landmark_names[right] == f"right {ends}"


def test_pupils_of_300w_are_the_means_of_the_eyes():
  left, right = FACTS["face300w"].normalizers["inter_pupil"]
  names = FACTS["face300w"].landmark_names
  assert [name for name in names if name.startswith("left eye ")] == [names[i] for i in left]
  assert [name for name in names if name.startswith("right eye ")] == [names[i] for i in right]


@pytest.mark.wide
def test_flipped_points_of_the_reference(shared):
  case = np.load(shared / "golden/landmarks_transforms/primitives.npz")
  names = {"300W": "face300w", "AFLW": "aflw", "COFW": "cofw", "WFLW": "wflw"}
  for key, name in names.items():
    count = len(FACTS[name].landmark_names)
    points = recipe.synthetic_points(1, count, count + 20)[0]
    flipped = points[permutation_of(FACTS[name])] * [-1, 1] + [321, 0]
    np.testing.assert_allclose(case[f"fliplr_joints.{key}"], flipped, rtol=0, atol=1e-12)


def prepare(name, source, out):
  return prepared.prepare(name, out, source=source)


def test_numbers_come_back_to_the_last_bit(tmp_path):
  source = face_miniatures.face68(tmp_path)
  dataset, built = prepare("face68", source, tmp_path / "out")
  assert built
  assert dataset.splits() == {"train": 8, "val": 4}
  assert dataset.landmark_names == face300w.NAMES
  assert dataset.statistics["val"]["class_images"] == []
  lines = (source / "face_landmarks_valid.csv").read_text().splitlines()[1:]
  for line, record in zip(lines, dataset.source("val"), strict=True):
    image_name, *cells = line.split(",")
    scale, *numbers = (float(cell) for cell in cells)
    assert set(record) == {"image", "name", "points", "center", "scale", "box_size"}
    assert record["name"] == image_name
    assert record["image"] == (source / "images" / image_name).read_bytes()
    assert record["points"].dtype == record["center"].dtype == record["scale"].dtype == np.float64
    assert [*record["center"], *record["points"].ravel()] == numbers
    assert (float(record["scale"]), float(record["box_size"])) == (scale, 200 * scale)


def test_folder_above_is_as_good(tmp_path):
  source = face_miniatures.face68(tmp_path)
  inner, _ = prepare("face68", source, tmp_path / "one")
  outer, _ = prepare("face68", tmp_path, tmp_path / "two")
  assert inner.fingerprint == outer.fingerprint


def test_changed_subset_is_prepared_anew(tmp_path):
  source = face_miniatures.aflw(tmp_path)
  dataset, _ = prepare("aflw", source, tmp_path / "out")
  assert not prepare("aflw", source, tmp_path / "out")[1]
  table = source / "face_landmarks_aflw_test_frontal.csv"
  table.write_text("\n".join(table.read_text().splitlines()[:-1]) + "\n")
  again, built = prepare("aflw", source, tmp_path / "out")
  assert built
  assert dataset.subsets["frontal"] == ("full", (0, 2, 3, 5))
  assert again.subsets["frontal"] == ("full", (0, 2, 3))
  assert again.fingerprint != dataset.fingerprint


@pytest.mark.parametrize("order", ["<", ">"])
def test_orientation_is_forgotten_and_nothing_else(order):
  image = drawn_faces.background(np.random.default_rng(0), (24, 40))
  exif = Image.Exif()
  exif.endian = order
  exif[0x112], exif[0x10F] = 6, "camera"
  file = io.BytesIO()
  Image.fromarray(image).save(file, "JPEG", exif=exif)
  turned = file.getvalue()
  assert images.decode_image(turned, "").shape == (40, 24, 3)
  stored = images.forget_orientation(turned)
  assert len(stored) == len(turned)
  assert sum(a != b for a, b in zip(turned, stored, strict=True)) == 1
  assert images.decode_image(stored, "").shape == (24, 40, 3)
  assert images.forget_orientation(stored) == stored
  for data in (b"", b"\xff\xd8 no image", images.encode_png(image), images.encode_jpeg(image, 90)):
    assert images.forget_orientation(data) is data


def edit(table: pathlib.Path, row: int, column: int | None, text: str | None) -> None:
  """Replaces a cell of a row, counted from 1; without a column the whole row, or removes it."""
  lines = table.read_text().splitlines()
  if column is None:
    lines[row - 1 : row] = [] if text is None else [text]
  else:
    cells = lines[row - 1].split(",")
    cells[column : column + 1] = [] if text is None else [text]
    lines[row - 1] = ",".join(cells)
  table.write_text("\n".join(lines) + "\n")


TABLE = "face_landmarks_valid.csv"


@pytest.mark.parametrize(
  ("row", "column", "text", "error", "message"),
  [
    (3, 0, "gone.jpg", FileNotFoundError, r"valid\.csv, row 3: no image .*images/gone\.jpg"),
    (3, 0, "", ValueError, r"valid\.csv, row 3: no name of an image"),
    (4, 7, "nan", ValueError, r"valid\.csv, row 4: original_1_y is 'nan', expected a finite num"),
    (4, 4, "12px", ValueError, r"valid\.csv, row 4: original_0_x is '12px'"),
    (2, 4, "inf", ValueError, r"valid\.csv, row 2: original_0_x is 'inf'"),
    (2, 4, "", ValueError, r"valid\.csv, row 2: original_0_x is ''"),
    (5, 9, None, ValueError, r"valid\.csv, row 5: 139 columns, but the header has 140"),
    (5, 1, "0.0", ValueError, r"valid\.csv, row 5: scale is 0, expected a positive number"),
    (5, 1, "-0.7", ValueError, r"valid\.csv, row 5: scale is -0\.7"),
    (1, None, "image_name,scale,center_w", ValueError, r"row 2: 140 columns, but the header has 3"),
    (1, None, None, ValueError, r"valid\.csv: no header; row 1 has to name the columns"),
    (1, None, "image_name;scale", ValueError, r"the header has 1 columns; they are separated by"),
  ],
)
def test_what_is_wrong_in_a_table_is_named(row, column, text, error, message, tmp_path):
  source = face_miniatures.face68(tmp_path)
  edit(source / TABLE, row, column, text)
  with pytest.raises(error, match=message):
    prepare("face68", source, tmp_path / "out")
  assert not (tmp_path / "out/face68").exists()


def wrong_scheme(source):
  (source / TABLE).write_bytes((face_miniatures.aflw(source) / AFLW_TABLE).read_bytes())


AFLW_TABLE = "face_landmarks_aflw_test.csv"


def no_table(source):
  (source / TABLE).unlink()


def no_rows(source):
  (source / TABLE).write_text((source / TABLE).read_text().splitlines()[0] + "\n\n")


def no_text(source):
  (source / TABLE).write_bytes(b"image_name,x0\n\xfca.jpg,1\n")


def empty(source):
  (source / TABLE).write_text("")


def truncated_image(source):
  path = source / "images/valid_01.jpg"
  path.write_bytes(path.read_bytes()[:-500])


def eyes_in_one_place(source):
  for column in (0, 1):
    edit(source / TABLE, 3, 4 + 2 * 36 + column, "50.0")
    edit(source / TABLE, 3, 4 + 2 * 45 + column, "50.0")


@pytest.mark.parametrize(
  ("damage", "error", "message"),
  [
    (wrong_scheme, ValueError, r"valid\.csv: 43 columns, expected 140: image_name, scale, cent"),
    (no_table, FileNotFoundError, r"valid\.csv: no such file; the source folder has to hold face_"),
    (no_rows, ValueError, r"valid\.csv: a header without rows"),
    (
      no_text,
      ValueError,
      r"valid\.csv, line 2: not text in UTF-8 .byte 0xfc.; save the file as UTF-8",
    ),
    (empty, ValueError, r"valid\.csv: empty file"),
    (truncated_image, ValueError, r"valid\.csv, row 3: .*images/valid_01\.jpg: corrupt or trunc"),
    (eyes_in_one_place, ValueError, r"row 3: landmarks \[36\] and \[45\] lie in one place.*ocular"),
  ],
)
def test_what_is_not_as_it_has_to_be_is_named(damage, error, message, tmp_path):
  source = face_miniatures.face68(tmp_path)
  damage(source)
  with pytest.raises(error, match=message):
    prepare("face68", source, tmp_path / "out")
  assert not (tmp_path / "out/face68").exists()


def test_damage_leaves_the_prepared_data_set_as_it_was(tmp_path):
  source = face_miniatures.face68(tmp_path)
  before, _ = prepare("face68", source, tmp_path / "out")
  edit(source / TABLE, 3, 1, "nan")
  with pytest.raises(ValueError, match="row 3: scale is 'nan'"):
    prepare("face68", source, tmp_path / "out")
  after = prepared.open_dataset("face68", tmp_path / "out")
  assert after.fingerprint == before.fingerprint
  assert len(after.source("train")) == 8
