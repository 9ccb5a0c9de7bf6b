"""Result files: official ids, official colours and names of the images; tables of positions."""

import csv
import errno
import os

import flax.linen as nn
import jax
import numpy as np
from PIL import Image
import pytest

from hrnet_jax.data.dataset import DatasetInfo
from hrnet_jax.evaluation import results
from hrnet_jax.tasks.landmarks.task import Decoding, Landmarks


def dataset(class_ids):
  return DatasetInfo(
    class_names=("road", "car", "sky"),
    palette=((128, 64, 128), (0, 0, 142), (70, 130, 180)),
    class_ids=class_ids,
  )


@pytest.mark.parametrize(("class_ids", "expected"), [((7, 26, 23), [7, 26, 23]), ((), [0, 1, 2])])
def test_label_map_has_official_ids_and_colours(tmp_path, class_ids, expected):
  writer = results.open_writer("segmentation", tmp_path / "out", dataset(class_ids), None)
  prediction = np.array([[0, 1, 2], [2, 1, 0]], np.uint8)
  writer.add(0, prediction, {"name": "munich/munich_000001_leftImg8bit"})
  image = Image.open(tmp_path / "out" / "munich" / "munich_000001_leftImg8bit.png")
  assert image.mode == "P"
  assert np.asarray(image).tolist() == [expected, expected[::-1]]
  colours = np.asarray(image.convert("RGB"))
  assert colours[0].tolist() == [[128, 64, 128], [0, 0, 142], [70, 130, 180]]


def test_ids_beyond_a_byte_make_a_label_map_of_16_bits(tmp_path):
  writer = results.open_writer("segmentation", tmp_path, dataset((2, 255, 458)), None)
  writer.add(0, np.array([[0, 1, 2]], np.uint8), {"name": "2008_000002"})
  image = np.asarray(Image.open(tmp_path / "2008_000002.png"))
  assert image.dtype == np.uint16
  assert image.tolist() == [[2, 255, 458]]


def test_a_label_map_that_cannot_be_written_leaves_the_old_one(tmp_path, monkeypatch):
  writer = results.open_writer("segmentation", tmp_path, dataset(()), None)
  writer.add(0, np.array([[0, 1]], np.uint8), {"name": "a"})
  before = (tmp_path / "a.png").read_bytes()

  def full(descriptor):
    raise OSError(errno.ENOSPC, "No space left on device")

  monkeypatch.setattr(os, "fsync", full)
  with pytest.raises(OSError, match=rf"No space left on device: '{tmp_path}/a\.png'"):
    writer.add(0, np.array([[1, 0]], np.uint8), {"name": "a"})
  assert [path.name for path in tmp_path.iterdir()] == ["a.png"]
  assert (tmp_path / "a.png").read_bytes() == before


def test_a_task_without_result_files_is_said(tmp_path):
  with pytest.raises(ValueError, match="no result files for task 'juggling'; known: "):
    results.open_writer("juggling", tmp_path, dataset(()), None)


PLACES = {
  "affine": {"window": np.float32([10, 20, 64])},
  "reference": {
    "window": np.float32([10, 20, 64]),
    # Positions from -1 on in steps of a quarter cell; a cell is eight pixels of the image here.
    "whole_pixels": np.arange(37, dtype=np.float32) * 2 + np.float32([[1000], [2000]]),
  },
}


@pytest.mark.parametrize(
  ("crop", "refine", "expected"),
  [
    ("affine", "quarter", [[50, 28], [6, 16]]),
    ("affine", "dark", [[50, 28], [6, 16]]),
    ("reference", "quarter", [[1044, 2012], [1000, 2000]]),
    ("reference", "dark", [[50, 28], [6, 16]]),
  ],
)
def test_table_of_landmarks_has_positions_in_the_image(crop, refine, expected, tmp_path):
  task = Landmarks(
    model=nn.Module(),
    num_landmarks=2,
    sigma=1.0,
    targets="gaussian",
    decoding=Decoding(refine=refine),
  )
  facts = DatasetInfo(landmark_names=("eye", "nose"))
  (tmp_path / "landmarks.csv").write_text("old\n")
  writer = results.open_writer("landmarks", tmp_path, facts, task)
  # The crop has 32 pixels for 64 of the image, its heat maps eight cells.
  prediction = np.float32([[19.5, 3.5], [-2.5, -2.5]])
  example = {"name": np.str_("b, c.jpg"), "image": np.zeros((32, 32, 3), np.uint8)}
  writer.add(7, prediction, example | PLACES[crop])
  writer.add(3, prediction + 2, example | PLACES[crop])
  assert (tmp_path / "landmarks.csv").read_text() == "old\n"  # until all are there
  writer.finish({})
  assert [path.name for path in tmp_path.iterdir()] == ["landmarks.csv"]
  with (tmp_path / "landmarks.csv").open(newline="") as file:
    head, first, second = csv.reader(file)
  assert head == ["index", "image_name", "x0", "y0", "x1", "y1"]
  assert first[:2] == ["7", "b, c.jpg"]
  assert second[0] == "3"
  np.testing.assert_allclose(np.array(first[2:], float).reshape(2, 2), expected)
  if refine == "dark":
    np.testing.assert_allclose(np.array(second[2:], float) - np.array(first[2:], float), 4)


def test_each_process_has_a_table_of_its_own(tmp_path, monkeypatch):
  monkeypatch.setattr(jax, "process_count", lambda: 4)
  monkeypatch.setattr(jax, "process_index", lambda: 2)
  facts = DatasetInfo(landmark_names=("eye",))
  results.open_writer("landmarks", tmp_path / "out", facts, None).finish({})
  assert (tmp_path / "out/landmarks_3_of_4.csv").read_text().split() == ["index,image_name,x0,y0"]
