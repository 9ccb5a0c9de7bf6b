"""The shared builder: work ahead of the writer is bounded, and all failures are told."""

import pytest

from hrnet_jax.data import prepared
from hrnet_jax.data.datasets import base
from hrnet_jax.errors import UserError
from hrnet_jax.tasks.segmentation.datasets import camvid


def test_work_ahead_is_bounded(camvid_folder, tmp_path, add_pair, monkeypatch):
  for index in range(60):
    add_pair(camvid_folder / f"val/{index}.png", camvid_folder / f"valannot/{index}.png")
  started, ahead = [], []
  original = camvid.Camvid.record

  def record(self, item):
    started.append(item)
    return original(self, item)

  def progress(split, done, total):
    if split == "val":
      ahead.append(len(started) - 4 - done)

  monkeypatch.setattr(camvid.Camvid, "record", record)
  prepared.prepare("camvid", tmp_path / "out", source=camvid_folder, workers=2, progress=progress)
  assert len(ahead) == 62
  assert max(ahead) <= 4 * 2
  assert len(started) == 66


def test_progress_counts_every_record(camvid_folder, tmp_path):
  seen = []
  prepared.prepare(
    "camvid", tmp_path / "out", source=camvid_folder, progress=lambda *report: seen.append(report)
  )
  assert seen == [("train", i, 4) for i in (1, 2, 3, 4)] + [("val", i, 2) for i in (1, 2)]


def test_the_first_failure_is_said_at_once_where_checking_takes_long(
  camvid_folder, tmp_path, monkeypatch
):
  (camvid_folder / "train/a.jpg").write_bytes(b"")
  (camvid_folder / "val/e.jpg").unlink()
  monkeypatch.setattr(base, "_MANY", 4)
  said, seen = [], []
  with pytest.raises(UserError, match=r"^2 photos or annotations are bad; --skip_bad leaves"):
    prepared.prepare(
      "camvid",
      tmp_path / "out",
      source=camvid_folder,
      say=said.append,
      progress=lambda *report: seen.append(report),
    )
  assert len(said) == 1
  assert "this label has no image" in said[0]
  assert "the rest is checked" in said[0]
  assert seen[-1] == ("checking val", 1, 1)


def test_shards_are_cut_by_size(monkeypatch):
  class Item:
    def __init__(self, size):
      self.size = size

  monkeypatch.setattr(base, "_SHARD_BYTES", 10)
  assert base._cut([Item(size) for size in (4, 4, 4, 11, 1, 9, 1)]) == [2, 1, 1, 2, 1]
  assert base._cut([Item(4)]) == [1]
