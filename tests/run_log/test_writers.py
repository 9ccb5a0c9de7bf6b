"""Logs outlive a full disk: lines wait, and the board begins another file."""

import errno
import os

import numpy as np
from tensorboardX.proto import event_pb2

from hrnet_jax.run_log.writers import LineWriter, TensorBoardWriter


def full(*args):
  raise OSError(errno.ENOSPC, "No space left on device")


def read_events(folder):
  """Events of all files, oldest first."""
  events = []
  for path in sorted(folder.iterdir()):
    content = path.read_bytes()
    while content:
      size = int.from_bytes(content[:8], "little")
      events.append(event_pb2.Event.FromString(content[12 : 12 + size]))
      content = content[16 + size :]
  return events


def test_lines_that_cannot_be_written_come_later_in_order(tmp_path, monkeypatch):
  failures, path = [], tmp_path / "lines"
  lines = LineWriter(path, failures.append)
  lines.write("first")
  assert path.read_text() == "first\n"
  file = lines._file

  class Half:
    """A disk with room for three more bytes."""

    def __init__(self):
      self.room = 3

    def write(self, data):
      if not self.room:
        full()
      written, self.room = file.write(data[: self.room]), 0
      return written

  lines._file = Half()
  lines.write("second")
  lines.write("third")
  assert path.read_text() == "first\nsec"
  assert [error.errno for error in failures] == [errno.ENOSPC] * 2
  lines._file = file
  lines.write("fourth")
  lines.close()
  assert path.read_text() == "first\nsecond\nthird\nfourth\n"


def test_closing_tries_once_more_and_waits_for_the_disk(tmp_path, monkeypatch):
  failures, synced = [], []
  lines = LineWriter(tmp_path / "lines", failures.append)
  lines._waiting = b"waited\n"
  monkeypatch.setattr(os, "fsync", lambda descriptor: synced.append(descriptor) or full())
  lines.close()
  assert (tmp_path / "lines").read_text() == "waited\n"
  assert len(synced) == 1
  assert [error.errno for error in failures] == [errno.ENOSPC]


def test_the_board_leaves_out_what_cannot_be_written_and_goes_on(tmp_path, monkeypatch):
  failures = []
  board = TensorBoardWriter(tmp_path, 5, failures.append)
  board.scalar("train/loss", 0.5, 5, 1.0)
  with monkeypatch.context() as patch:
    patch.setattr(board._writer, "write_event", full)
    board.scalar("train/loss", 0.4, 6, 2.0)
  assert [error.errno for error in failures] == [errno.ENOSPC]
  board.scalar("train/loss", 0.3, 7, 3.0)
  board.picture("predictions/0", np.zeros((4, 6, 3), np.uint8), 7, 3.0)
  board.close()
  events = read_events(tmp_path)
  values = {e.step: e.summary.value[0].simple_value for e in events if e.summary.value}
  assert values[7] == 0.0  # the picture was the last of step 7
  assert 6 not in values
  scalars = [v.simple_value for e in events for v in e.summary.value if v.tag == "train/loss"]
  assert scalars[-1] == np.float32(0.3)
  assert [e.step for e in events if e.HasField("session_log")][:1] in ([5], [])
  assert any(v.image.width == 6 for e in events for v in e.summary.value)
