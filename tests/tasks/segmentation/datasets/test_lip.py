"""LIP: three ways in which the folders lie, the reference's lists, left and right."""

import numpy as np
import pytest

from hrnet_jax.data import images, prepared
from tests.helpers import miniatures


@pytest.fixture
def source(tmp_path):
  return miniatures.lip(tmp_path / "source")


def prepare(source, tmp_path):
  return prepared.prepare("lip", tmp_path / "out", source=source)[0]


def test_records_are_the_files(source, tmp_path):
  dataset = prepare(source, tmp_path)
  assert dataset.splits() == {"train": 4, "val": 2}
  assert dataset.unions == {}
  for split in dataset.splits():
    for record in dataset.source(split):
      image = f"lip/TrainVal_images/{split}_images/{record['name']}.jpg"
      label = f"TrainVal_parsing_annotations/{split}_segmentations/{record['name']}.png"
      assert record["image"] == (source / image).read_bytes()
      assert record["label"] == (source / "lip" / label).read_bytes()


def test_list_decides_and_spare_columns_do_not_matter(source, tmp_path):
  path = source / "list/lip/trainList.txt"
  lines = path.read_text().splitlines()
  path.write_text(f"{lines[3]}\n\n{' '.join(lines[1].split()[:2])}\n")
  names = [record["name"] for record in prepare(source, tmp_path).source("train")]
  assert names == ["3_train", "1_train"]


@pytest.mark.parametrize("nested", [False, True])
def test_other_places(nested, source, tmp_path):
  for name in ("TrainVal_images", "TrainVal_parsing_annotations"):
    old = source / "lip" / name
    if nested:  # as the archives unpack
      new = source / "lip" / name / name
      old.rename(source / "x")
      new.parent.mkdir()
      (source / "x").rename(new)
    else:  # as on the reference's newest branch
      for path in old.iterdir():
        path.rename(source / "lip" / path.name)
  assert prepare(source / "lip", tmp_path).splits() == {"train": 4, "val": 2}
  assert prepare(source, tmp_path).splits() == {"train": 4, "val": 2}


def test_ids_end_at_19(source, tmp_path):
  label = np.full(miniatures.SIZES[0], 19, np.uint8)
  label[0, 0] = 20
  path = source / "lip/TrainVal_parsing_annotations/val_segmentations/0_val.png"
  path.write_bytes(images.encode_png(label))
  message = (
    r"0_val\.png: value 20 in 1 pixels; there are 20 classes, so ids 0 to 19 may occur; --skip"
  )
  with pytest.raises(ValueError, match=message):
    prepare(source, tmp_path)


def test_facts(source, tmp_path):
  dataset = prepare(source, tmp_path)
  assert len(set(dataset.palette)) == len(set(dataset.class_names)) == 20
  names = dataset.class_names
  assert names[0] == "background"
  assert dataset.flip_pairs == ((14, 15), (16, 17), (18, 19))
  for left, right in dataset.flip_pairs:
    assert names[left] == names[right].replace("right", "left") != names[right]
