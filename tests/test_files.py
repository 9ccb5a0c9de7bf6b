"""Files are there as a whole or not at all; what storage says for a while is waited out."""

import errno
import os
import pathlib

import pytest

from hrnet_jax import files


def _listing(folder: pathlib.Path) -> list[str]:
  return sorted(x.name for x in folder.iterdir())


@pytest.mark.parametrize("name", ["metrics.json", "n" * 250, "[a]*?.txt", "no ending"])
def test_file_is_replaced_and_nothing_else_is_left(tmp_path: pathlib.Path, name: str) -> None:
  path, neighbour = tmp_path / name, tmp_path / "metrics.tmp"
  neighbour.write_text("a user's")
  for content in ("first", b"second"):
    files.write_whole(path, content)
  assert path.read_text() == "second"
  assert neighbour.read_text() == "a user's"
  assert _listing(tmp_path) == sorted([name, "metrics.tmp"])


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_old_file_stays_where_a_call_fails(
  tmp_path: pathlib.Path, call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
  path = tmp_path / "a"
  files.write_whole(path, "old")

  def fail(*_: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

  monkeypatch.setattr(*((os, "fsync") if call == "fsync" else (pathlib.Path, "replace")), fail)
  with pytest.raises(OSError, match=rf"No space left on device: '{path}'$"):
    files.write_whole(path, "new")
  assert path.read_text() == "old"
  assert _listing(tmp_path) == ["a"]


def test_folder_appears_when_its_body_is_done(tmp_path: pathlib.Path) -> None:
  (tmp_path / "x").mkdir()
  with files.whole_folder(tmp_path / "x" / "new") as folder:
    (folder / "inner").mkdir()
    (folder / "inner" / "file").write_text("text")
    assert files.is_temporary(folder)
    assert not (tmp_path / "x" / "new").exists()
  assert (tmp_path / "x" / "new" / "inner" / "file").read_text() == "text"
  with pytest.raises(RuntimeError), files.whole_folder(tmp_path / "x" / "other"):
    raise RuntimeError
  assert _listing(tmp_path / "x") == ["new"]


def test_a_file_that_cannot_get_its_name_is_said_by_that_name(tmp_path: pathlib.Path) -> None:
  (tmp_path / "a" / "b").mkdir(parents=True)
  with pytest.raises(OSError, match=rf"directory: '{tmp_path / 'a'}'$"):
    files.write_whole(tmp_path / "a", "new")
  assert _listing(tmp_path) == ["a"]


def test_a_folder_of_thousands_is_not_looked_through_for_each_file(
  tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  looked = []
  real = pathlib.Path.iterdir
  monkeypatch.setattr(pathlib.Path, "iterdir", lambda self: looked.append(self) or real(self))
  for number in range(20):
    files.write_whole(tmp_path / f"{number}.png", "x")
  assert len(looked) <= 2  # a minute may end meanwhile


def test_leftovers_of_killed_processes_go_after_an_hour(tmp_path: pathlib.Path) -> None:
  path = tmp_path / "a.json"
  old, young, other = (files.temporary_name(path.with_name(x)) for x in ("a.json", "a.json", "b"))
  for file in (old, young, other):
    file.write_text("half")
  for file in (old, other):
    os.utime(file, (0, 0))
  files.write_whole(path, "{}")
  assert _listing(tmp_path) == sorted(["a.json", young.name, other.name])


def test_storage_that_comes_back_is_waited_for() -> None:
  answers = [errno.EIO, errno.ESTALE, errno.ENOENT, None]

  def action() -> str:
    if number := answers.pop(0):
      raise OSError(number, os.strerror(number))
    return "done"

  assert files.patiently(action, also=frozenset({errno.ENOENT})) == "done"
  assert not answers


@pytest.mark.parametrize(
  ("number", "calls"), [(errno.ENOSPC, 1), (errno.EACCES, 1), (errno.EIO, 3)]
)
def test_other_errors_count_at_once_and_these_at_the_end(number: int, calls: int) -> None:
  done = []

  def action() -> None:
    done.append(1)
    raise OSError(number, os.strerror(number))

  with pytest.raises(OSError, match=os.strerror(number)):
    files.patiently(action, seconds=0.2)
  assert len(done) == calls
