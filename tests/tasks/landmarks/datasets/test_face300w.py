"""300W: the splits of its tests, and the image whose name differs from the table's."""

import pytest

from hrnet_jax.data import prepared
from tests.helpers import face_miniatures


@pytest.fixture
def source(tmp_path):
  return face_miniatures.face300w(tmp_path)


def names(dataset, split):
  return [record["name"] for record in dataset.source(split)]


def test_common_and_challenge_make_up_the_full_split(source, tmp_path):
  dataset, _ = prepared.prepare("face300w", tmp_path / "out", source=source)
  assert dataset.splits() == {"train": 8, "full": 6, "test": 4}
  assert names(dataset, "common") + names(dataset, "challenge") == names(dataset, "full")
  assert all(name.startswith("ibug/") for name in names(dataset, "challenge"))
  assert all(name.startswith(("helen/", "lfpw/")) for name in names(dataset, "common"))
  assert all(name.startswith("Test/") for name in names(dataset, "test"))
  assert names(dataset, "full_and_test") == names(dataset, "full") + names(dataset, "test")
  assert set(dataset.normalizers) == {"inter_ocular", "inter_pupil"}


def test_file_with_a_blank_in_its_name(source, tmp_path):
  dataset, _ = prepared.prepare("face300w", tmp_path / "out", source=source)
  odd = source / "images/ibug/image_092 _01.jpg"
  record = dataset.source("challenge")[1]
  assert record["name"] == "ibug/image_092_01.jpg"
  assert record["image"] == odd.read_bytes()
  odd.rename(odd.with_name("image_092_01.jpg"))
  again, _ = prepared.prepare("face300w", tmp_path / "out", source=source, overwrite=True)
  assert again.fingerprint == dataset.fingerprint
  odd.with_name("image_092_01.jpg").unlink()
  message = r"valid\.csv, row 6: no image .*ibug/image_092 _01\.jpg"
  with pytest.raises(FileNotFoundError, match=message):
    prepared.prepare("face300w", tmp_path / "out", source=source)
