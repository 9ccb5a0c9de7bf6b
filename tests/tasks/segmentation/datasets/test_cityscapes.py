"""Cityscapes: train ids, cities in folders, a test split without labels, trainval stored once."""

import numpy as np
import pytest

from hrnet_jax.data import images, prepared
from hrnet_jax.tasks.segmentation.datasets import cityscapes
from tests.helpers import miniatures

# of ids 0 to 33; none of the ids left out in the comment of the data set's scripts is a class
TRAIN_IDS = [255] * 7 + [0, 1, 255, 255, 2, 3, 4, 255, 255, 255, 5, 255, *range(6, 16)]
TRAIN_IDS += [255, 255, 16, 17, 18]
LABEL = "gtFine/train/aachen/aachen_000000_000019_gtFine_labelIds.png"


@pytest.fixture
def source(tmp_path):
  return miniatures.cityscapes(tmp_path / "source")


def prepare(source, tmp_path):
  return prepared.prepare("cityscapes", tmp_path / "out", source=source)[0]


def test_every_id_becomes_its_train_id(source, tmp_path):
  raw = np.resize(np.array([*range(34), 255], np.uint8), miniatures.SIZE)
  (source / LABEL).write_bytes(images.encode_png(raw))
  dataset = prepare(source, tmp_path)
  record = dataset.source("train")[0]
  assert record["name"] == "aachen/aachen_000000_000019"
  stored = images.decode_label(record["label"], "label")
  np.testing.assert_array_equal(
    stored, np.array([*TRAIN_IDS, 255])[np.arange(64 * 96) % 35].reshape(64, 96)
  )
  image = source / "leftImg8bit/train/aachen/aachen_000000_000019_leftImg8bit.png"
  assert record["image"] == image.read_bytes()


def test_splits_and_their_union(source, tmp_path):
  dataset = prepare(source, tmp_path)
  assert dataset.splits() == {"train": 4, "val": 2, "test": 2}
  assert dataset.unions == {"trainval": ("train", "val")}
  names = [record["name"] for record in dataset.source("trainval")]
  assert names == [record["name"] for s in ("train", "val") for record in dataset.source(s)]
  assert names[:4] == [f"{c}/{c}_{i:06}_000019" for c, i in _cities((0, 2), (1, 3))]
  shards = {path.name.split("-")[1].split(".")[0] for path in dataset.directory.glob("*array*")}
  assert shards == {"train", "val", "test"}


def _cities(aachen, bochum):
  return [*(("aachen", i) for i in aachen), *(("bochum", i) for i in bochum)]


def test_test_images_are_ignored_all_over(source, tmp_path):
  gone = source / "gtFine/test/aachen/aachen_000000_000019_gtFine_labelIds.png"
  gone.parent.mkdir(parents=True)
  gone.write_bytes(b"the labels published for test are empty, and not read")
  dataset = prepare(source, tmp_path)
  for record in dataset.source("test"):
    label = images.decode_label(record["label"], "label")
    assert label.shape == images.decode_image(record["image"], "image").shape[:2]
    assert (label == 255).all()
  assert dataset.statistics["test"]["class_pixels"] == [0] * 19
  assert dataset.statistics["test"]["ignored_pixels"] == 2 * 64 * 96


def test_test_may_be_missing(source, tmp_path):
  for path in (source / "leftImg8bit/test").rglob("*.png"):
    path.unlink()
  with pytest.raises(FileNotFoundError, match=r"test: no images \(_leftImg8bit\.jpg, "):
    prepare(source, tmp_path)
  (source / "leftImg8bit/test").rename(source / "elsewhere")
  assert list(prepare(source, tmp_path).splits()) == ["train", "val"]


def test_lists_decide_where_they_are(source, tmp_path):
  pair = "leftImg8bit/val/{0}_leftImg8bit.png\tgtFine/val/{0}_gtFine_labelIds.png\n"
  order = ["bochum/bochum_000001_000019", "aachen/aachen_000000_000019"]
  (source / "list/cityscapes").mkdir(parents=True)
  (source / "list/cityscapes/val.lst").write_text("".join(map(pair.format, order)))
  (source / "test.lst").write_text("leftImg8bit/test/bochum/bochum_000001_000019_leftImg8bit.png\n")
  dataset = prepare(source, tmp_path)
  assert [record["name"] for record in dataset.source("val")] == order
  assert [record["name"] for record in dataset.source("test")] == order[:1]
  assert dataset.splits()["train"] == 4


def test_in_a_folder_of_its_own(tmp_path):
  source = miniatures.cityscapes(tmp_path / "data/cityscapes").parent
  assert prepare(source, tmp_path).splits() == {"train": 4, "val": 2, "test": 2}


def test_unknown_id_is_named(source, tmp_path):
  label = np.full(miniatures.SIZE, 7, np.uint8)
  label[0, :3] = 34
  (source / LABEL).write_bytes(images.encode_png(label))
  message = (
    rf"{LABEL}: value 34 in 3 pixels; there are 19 classes, so ids 7, 8, 11 to 13, 17, 19 to 28, "
    "31 to 33 may occur; 0 to 6, 9, 10, 14 to 16, 18, 29, 30, 255 are ignored"
  )
  with pytest.raises(ValueError, match=message):
    prepare(source, tmp_path)


def test_image_without_label(source, tmp_path):
  (source / LABEL).unlink()
  with pytest.raises(
    FileNotFoundError, match=rf"_leftImg8bit.png: .* no label; expected .*{LABEL}"
  ):
    prepare(source, tmp_path)


def test_another_folder_is_told_what_is_expected(tmp_path):
  with pytest.raises(
    FileNotFoundError, match=r"leftImg8bit/train: no such folder; .*gtFine/\{train"
  ):
    prepare(tmp_path, tmp_path)


def test_facts(source, tmp_path):
  dataset = prepare(source, tmp_path)
  assert (len(dataset.class_names), len(set(dataset.palette))) == (19, 19)
  assert dataset.class_names[11:14] == ("person", "rider", "car")
  assert dataset.palette[13] == (0, 0, 142)
  assert dataset.class_ids == tuple(i for i, train in enumerate(TRAIN_IDS) if train != 255)
  assert dataset.class_weights == tuple(weight for _, weight, _ in cityscapes.CLASSES.values())
  assert sum(dataset.class_weights) == pytest.approx(19.0, abs=3e-3)
  assert dataset.flip_pairs == ()
