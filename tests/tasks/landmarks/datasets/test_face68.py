"""The real video frames, where they are at hand."""

import csv

import numpy as np
import pytest

from hrnet_jax.data import prepared


@pytest.mark.wide
def test_real_frames(shared, tmp_path):
  source = shared / "data/face68"
  dataset, _ = prepared.prepare("face68", tmp_path, source=source)
  assert dataset.splits() == {"train": 3108, "val": 348}
  with (source / "face_landmarks_valid.csv").open(newline="") as file:
    rows = list(csv.reader(file))[1:]
  for row, record in zip(rows, dataset.source("val"), strict=True):
    numbers = [record["scale"], *record["center"], *record["points"].ravel()]
    assert [float(cell) for cell in row[1:]] == [float(number) for number in numbers]
    assert row[0] == record["name"]
  # On average people look ahead: the mean face is nearly equal on both sides.
  boxed = [(r["points"] - r["center"]) / r["box_size"] for r in dataset.source("val")]
  mean, permutation = np.mean(boxed, 0), np.arange(68)
  for first, second in dataset.flip_pairs:
    permutation[[first, second]] = second, first
  assert np.abs(mean[permutation] - mean * [-1, 1]).max() < 0.06
