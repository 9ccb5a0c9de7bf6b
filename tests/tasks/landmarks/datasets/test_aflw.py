"""AFLW: a column more, boxes that are not those of the landmarks."""

import numpy as np
import pytest

from hrnet_jax.data import prepared
from tests.helpers import face_miniatures

TEST = "face_landmarks_aflw_test.csv"


@pytest.fixture
def source(tmp_path):
  return face_miniatures.aflw(tmp_path)


def test_columns_and_frontal_faces(source, tmp_path):
  dataset, _ = prepared.prepare("aflw", tmp_path / "out", source=source)
  assert dataset.splits() == {"train": 8, "full": 6}
  assert dataset.subsets == {"frontal": ("full", (0, 2, 3, 5))}
  assert dataset.normalizers == {}
  for line, record in zip(
    (source / TEST).read_text().splitlines()[1:], dataset.source("full"), strict=True
  ):
    image_name, *cells = line.split(",")
    scale, box_size, *others = (float(cell) for cell in cells)
    assert record["name"] == image_name
    assert (float(record["scale"]), float(record["box_size"])) == (scale, box_size)
    assert [*record["center"], *record["points"].ravel()] == others
    assert scale == box_size / 200
    assert not np.array_equal(record["center"], record["points"].mean(0))


def test_names_with_and_without_the_folder_flickr(source, tmp_path):
  with_folder, _ = prepared.prepare("aflw", tmp_path / "out", source=source)
  for table in source.glob("*.csv"):
    table.write_text(table.read_text().replace("\nflickr/", "\n"))
  without, built = prepared.prepare("aflw", tmp_path / "out", source=source)
  assert built
  for first, second in zip(with_folder.splits(), without.splits(), strict=True):
    assert first == second
  names = [record["name"] for record in without.source("full")]
  assert names[0] == "2/image00007.jpg"
  assert without.source("full")[0]["image"] == (source / "images/flickr" / names[0]).read_bytes()


@pytest.mark.parametrize("value", ["0", "-12.0"])
def test_box_without_a_size(value, source, tmp_path):
  lines = (source / TEST).read_text().splitlines()
  cells = lines[3].split(",")
  cells[2] = value
  (source / TEST).write_text("\n".join([*lines[:3], ",".join(cells), *lines[4:]]) + "\n")
  with pytest.raises(ValueError, match=rf"aflw_test\.csv, row 4: box_size is {float(value):g}, "):
    prepared.prepare("aflw", tmp_path / "out", source=source)
