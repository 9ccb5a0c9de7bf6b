"""The library that makes calls fail does what it is told, and nothing else."""

import json
import pathlib
import signal
import subprocess
import sys
import textwrap

import pytest

from tests.faults import library
from tests.helpers import environment

pytestmark = pytest.mark.skipif(bool(library.missing()), reason=library.missing())

BEGIN = """
import json, os, pathlib, sys
from tests.faults import library
root = pathlib.Path(sys.argv[1])
"""


def run(code: str, root: pathlib.Path) -> subprocess.CompletedProcess[str]:
  """Runs code with the library; `root` is a folder in it."""
  return subprocess.run(
    [sys.executable, "-c", BEGIN + textwrap.dedent(code), str(root)],
    cwd=environment.ROOT,
    env=library.environment(),
    capture_output=True,
    text=True,
    check=False,
  )


def said(code: str, root: pathlib.Path) -> object:
  done = run(code, root)
  assert done.returncode == 0, done.stderr
  return json.loads(done.stdout)


def test_calls_are_written_down(tmp_path: pathlib.Path) -> None:
  code = """
    with library.watched(root):
      (root / "a").write_text("hello")
      os.rename(root / "a", root / "b")
      (root / "d").mkdir()
      file = os.open(root, os.O_RDONLY)
      os.fsync(file)
      os.unlink("b", dir_fd=file)
      (root.parent / "elsewhere").write_text("not seen")
    print(json.dumps([x for x in library.calls() if x.name in library.CHANGING]))
  """
  (tmp_path / "root").mkdir()
  assert said(code, tmp_path / "root") == [
    ["open", "a", ""],
    ["write", "a", ""],
    ["rename", "a", "b"],
    ["mkdir", "d", ""],
    ["fsync", ".", ""],
    ["unlink", "b", ""],
  ]


def test_one_call_fails_once(tmp_path: pathlib.Path) -> None:
  code = """
    found = []
    with library.watched(root, "write", 2, library.once("ENOSPC")):
      for name in "abc":
        try:
          (root / name).write_text("hello")
        except OSError as error:
          found.append([name, error.errno])
    print(json.dumps([found, library.fired(), (root / "b").read_text()]))
  """
  # Python tries once more where it closes the file.
  assert said(code, tmp_path) == [[["b", 28]], 1, "hello"]


def test_a_full_disk_stays_full(tmp_path: pathlib.Path) -> None:
  code = """
    found = []
    with library.watched(root, "write", 2, library.FULL):
      for name in "abc":
        try:
          (root / name).write_text("hello")
        except OSError as error:
          found.append(name)
    (root / "d").write_text("free again")
    print(json.dumps([found, sorted(x.name for x in root.iterdir())]))
  """
  assert said(code, tmp_path) == [["b", "c"], ["a", "b", "d"]]


def test_half_is_written(tmp_path: pathlib.Path) -> None:
  code = """
    with library.watched(root, "write", 1, library.SHORT_WRITE):
      file = os.open(root / "a", os.O_WRONLY | os.O_CREAT)
      counts = [os.write(file, b"12345678"), os.write(file, b"5678")]
    print(json.dumps(counts))
  """
  assert said(code, tmp_path) == [4, 4]
  assert (tmp_path / "a").read_text() == "12345678"


@pytest.mark.parametrize(
  ("fault", "left"),
  [(library.DIE_BEFORE, b""), (library.DIE_HALF, b"1234"), (library.DIE_AFTER, b"12345678")],
)
def test_the_process_dies_there(tmp_path: pathlib.Path, fault: int, left: bytes) -> None:
  code = f"""
    with library.watched(root, "write", 1, library.Fault("death", {fault})):
      (root / "a").write_text("12345678")
  """
  assert run(code, tmp_path).returncode == -signal.SIGKILL
  assert (tmp_path / "a").read_bytes() == left


def test_copies_are_what_a_killed_process_leaves(tmp_path: pathlib.Path) -> None:
  root, copies = tmp_path / "root", tmp_path / "copies"
  root.mkdir()
  copies.mkdir()
  code = """
    with library.watched(root, copies=root.parent / "copies"):
      (root / "a").write_text("12345678")
      os.replace(root / "a", root / "b")
  """
  assert run(code, root).returncode == 0
  found = {
    copy.name: {path.name: path.read_text() for path in copy.iterdir()} for copy in copies.iterdir()
  }
  assert found == {
    "000001-before": {},
    "000002-before": {"a": ""},
    "000002-half": {"a": "1234"},
    "000003-before": {"a": "12345678"},
  }


def test_what_a_power_cut_takes() -> None:
  calls = [
    library.Call("write", "t/a", ""),
    library.Call("write", "t/b", ""),
    library.Call("fsync", "t/a", ""),
    library.Call("rename", "t", "final"),
    library.Call("write", "c", ""),
    library.Call("unlink", "c", ""),
  ]
  assert library.unsynced(calls) == {"final/b"}
  assert library.unsynced([*calls, library.Call("rename", "x", "final/b")]) == set()
