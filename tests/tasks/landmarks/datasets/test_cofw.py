"""COFW: images and numbers from MATLAB's files, axes the right way round."""

import h5py
import numpy as np
import pytest

from hrnet_jax.data import images, prepared
from hrnet_jax.tasks.landmarks.datasets import cofw
from tests.helpers import face_miniatures


def face(seed, shape):
  rng = np.random.default_rng(seed)
  image = rng.integers(0, 256, shape).astype(np.uint8)
  row = np.concatenate([rng.uniform(1, 40, 29), rng.uniform(1, 60, 29), rng.integers(0, 2, 29)])
  return image, row


SHAPES = [(31, 22, 3), (17, 40), (25, 25, 3)]


@pytest.fixture
def faces():
  return [face(seed, shape) for seed, shape in enumerate(SHAPES)]


@pytest.fixture
def source(tmp_path, faces):
  folder = tmp_path / "source"
  folder.mkdir()
  face_miniatures.write_mat(folder / "COFW_train_color.mat", "Tr", faces)
  face_miniatures.write_mat(folder / "COFW_test_color.mat", "T", faces[::-1][:2])
  return folder


def prepare(source, tmp_path):
  return prepared.prepare("cofw", tmp_path / "out", source=source)[0]


def test_pixels_and_numbers_are_those_of_the_file(source, faces, tmp_path):
  dataset = prepare(source, tmp_path)
  assert dataset.splits() == {"train": 3, "test": 2}
  assert dataset.max_size("train") == (31, 40)
  for index, ((image, row), record) in enumerate(zip(faces, dataset.source("train"), strict=True)):
    expected = image if image.ndim == 3 else np.repeat(image[..., None], 3, 2)
    np.testing.assert_array_equal(images.decode_image(record["image"], ""), expected)
    assert record["name"] == f"COFW_train_color_{index + 1:04}"
    np.testing.assert_array_equal(record["points"], np.stack([row[:29], row[29:58]], 1))
    np.testing.assert_array_equal(record["visible"], row[58:] == 0)
    low, high = np.floor(record["points"].min(0)), np.ceil(record["points"].max(0))
    np.testing.assert_array_equal(record["center"], (low + high) / 2)
    assert float(record["scale"]) == (high - low).max() / 200
    assert float(record["box_size"]) == 200 * float(record["scale"])
  np.testing.assert_array_equal(dataset.source("test")[0]["points"][:, 0], faces[2][1][:29])


def test_grey_images_are_stored_as_such(source, tmp_path):
  record = prepare(source, tmp_path).source("train")[1]
  assert images.decode_label(record["image"], "").shape == (17, 40)  # one channel only


def test_other_names_and_the_folder_above(source, tmp_path):
  before = prepare(source, tmp_path)
  for path in source.glob("*.mat"):
    path.rename(path.with_name(path.name.replace("_color", "")))
  source.rename(source.with_name("cofw"))
  dataset, _ = prepared.prepare("cofw", tmp_path / "other", source=tmp_path)
  assert dataset.source("test")[1]["name"] == "COFW_test_0002"
  assert dataset.source("test")[1]["image"] == before.source("test")[1]["image"]


def test_miniature_covers_some_landmarks(tmp_path):
  dataset = prepare(face_miniatures.cofw(tmp_path), tmp_path)
  seen = np.stack([record["visible"] for record in dataset.source("train")])
  assert seen[0].all()
  mouth = [name for name, ok in zip(cofw.NAMES, seen[1], strict=True) if not ok]
  assert {"left mouth corner", "right mouth corner", "lip 2"} <= set(mouth)


def no_file(source):
  (source / "COFW_test_color.mat").unlink()


def old_format(source):
  (source / "COFW_test_color.mat").write_bytes(b"MATLAB 5.0 MAT-file" + bytes(500))


def cut(source):
  path = source / "COFW_test_color.mat"
  path.write_bytes(path.read_bytes()[:900])


def train_for_test(source):
  (source / "COFW_train_color.mat").rename(source / "COFW_test_color.mat")
  face_miniatures.write_mat(source / "COFW_train_color.mat", "Tr", [face(0, SHAPES[0])])


def rewrite(source, row=None, image=None):
  good_image, good_row = face(0, SHAPES[0])
  second = (good_image if image is None else image, good_row if row is None else row)
  face_miniatures.write_mat(source / "COFW_test_color.mat", "T", [face(1, SHAPES[1]), second])


def not_a_number(source):
  row = face(0, SHAPES[0])[1]
  row[4] = np.nan
  rewrite(source, row=row)


def one_place(source):
  row = np.full(87, 5.0)
  rewrite(source, row=row)


def eyes_in_one_place(source):
  row = face(0, SHAPES[0])[1]
  row[[9, 29 + 9]] = row[[8, 29 + 8]]
  rewrite(source, row=row)


def no_bytes(source):
  rewrite(source, image=np.zeros((5, 5, 3), np.float64))


def too_few_rows(source):
  with h5py.File(source / "COFW_test_color.mat", "r+") as file:
    rows = file["phisT"][()]
    del file["phisT"]
    file["phisT"] = rows[:, :1]


@pytest.mark.parametrize(
  ("damage", "error", "message"),
  [
    (no_file, FileNotFoundError, r"COFW_test_color\.mat: no such file; .* has to hold COFW_train"),
    (old_format, ValueError, r"test_color\.mat: not a MATLAB file of version 7\.3 .*'-v7\.3'"),
    (cut, ValueError, r"test_color\.mat: not a MATLAB file of version 7\.3"),
    (train_for_test, ValueError, r"test_color\.mat: no variable 'IsT'; it has #refs#, IsTr, phis"),
    (not_a_number, ValueError, r"test_color\.mat, face 2 of IsT: a landmark is nan"),
    (one_place, ValueError, r"face 2 of IsT: scale is 0"),
    (eyes_in_one_place, ValueError, r"face 2 of IsT: landmarks \[8\] and \[9\] lie in one place"),
    (no_bytes, ValueError, r"face 2 of IsT: the image is float64 \(5, 5, 3\), expected uint8"),
    (too_few_rows, ValueError, r"phisT is \(1, 87\), expected \(2, 87\): a row for each of the 2"),
  ],
)
def test_what_is_not_as_it_has_to_be_is_named(damage, error, message, source, tmp_path):
  damage(source)
  with pytest.raises(error, match=message):
    prepare(source, tmp_path)
  assert not (tmp_path / "out/cofw").exists()
