"""Tables of predictions: whole rows, whatever fails; the old table until there are new rows."""

import errno
import os
import pathlib

import pytest

from hrnet_jax.predict import tables

HEADER = ["photo", "class"]


def test_rows_follow_each_other_and_replace_those_of_an_earlier_command(tmp_path):
  path = tmp_path / "predictions.csv"
  path.write_text("old\n")
  table = tables.Tables()
  assert path.read_text() == "old\n"
  table.append(path, HEADER, [["a, b.jpg", "sky"]])
  table.append(path, HEADER, [["c.jpg", 'rose "é"'], ["d.jpg", ""]])
  assert path.read_bytes().decode() == (
    'photo,class\r\n"a, b.jpg",sky\r\nc.jpg,"rose ""é"""\r\nd.jpg,\r\n'
  )
  assert [x.name for x in tmp_path.iterdir()] == ["predictions.csv"]


def test_half_a_row_is_taken_back(tmp_path, monkeypatch):
  path = tmp_path / "predictions.csv"
  table = tables.Tables()
  table.append(path, HEADER, [["a.jpg", "sky"]])
  before, real = path.read_bytes(), pathlib.Path.open

  class Full:
    """A disk with room for three bytes."""

    def __init__(self, file):
      self._file = file

    def __enter__(self):
      return self

    def __exit__(self, *error):
      self._file.close()

    def __getattr__(self, name):
      return getattr(self._file, name)

    def write(self, data):
      if self._file.tell() > len(before):
        raise OSError(errno.ENOSPC, "No space left on device")
      return self._file.write(data[:3])

  with monkeypatch.context() as patch:
    patch.setattr(pathlib.Path, "open", lambda *args, **kwargs: Full(real(*args, **kwargs)))
    with pytest.raises(OSError, match=rf"No space left on device: '{path}'$"):
      table.append(path, HEADER, [["b.jpg", "sky"]])
  assert path.read_bytes() == before
  table.append(path, HEADER, [["c.jpg", "sky"]])
  assert path.read_bytes() == before + b"c.jpg,sky\r\n"


def test_first_rows_that_cannot_be_written_leave_the_old_table(tmp_path, monkeypatch):
  path = tmp_path / "predictions.csv"
  path.write_text("old\n")
  table = tables.Tables()

  def full(descriptor):
    raise OSError(errno.ENOSPC, "No space left on device")

  monkeypatch.setattr(os, "fsync", full)
  with pytest.raises(OSError, match=r"No space.*predictions\.csv"):
    table.append(path, HEADER, [["a.jpg", "sky"]])
  monkeypatch.undo()
  assert path.read_text() == "old\n"
  table.append(path, HEADER, [["b.jpg", "sky"]])
  assert path.read_bytes() == b"photo,class\r\nb.jpg,sky\r\n"
