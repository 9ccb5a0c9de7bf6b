"""The two files of an export: both old, both new, or a program alone; never one of each."""

import errno
import hashlib
import json
import os
import pathlib
import signal
import subprocess
import sys

import pytest

from hrnet_jax import files
from hrnet_jax.export import artefact

ROOT = pathlib.Path(__file__).parents[2]
# Ends itself as a kill would, at a call that changes names in the folder.
KILLED = """
import os, pathlib, signal, sys
from hrnet_jax.export import artefact

left = int(sys.argv[2])
real = pathlib.Path.replace

def replace(*args):
  global left
  if left == 0:
    os.kill(os.getpid(), signal.SIGKILL)
  left -= 1
  return real(*args)

pathlib.Path.replace = replace
artefact.write(pathlib.Path(sys.argv[1]), b"new", {"text": "new"})
"""


def state(folder: pathlib.Path) -> tuple[str, str]:
  """The program, and the text of the JSON whose digest has to be the program's."""
  program = (folder / "net.jaxexport").read_bytes()
  if not (folder / "net.json").exists():
    return program.decode(), ""
  facts = json.loads((folder / "net.json").read_text())
  digest = hashlib.sha256(program).hexdigest()
  assert facts["program"] == {"file": "net.jaxexport", "sha256": digest}
  return program.decode(), facts["text"]


def test_files_of_a_user_are_nobody_elses(tmp_path: pathlib.Path) -> None:
  users = ("net.tmp", "net.json.tmp", "net.jaxexport.tmp", ".net.tmp")
  for name in users:
    (tmp_path / name).write_text("a user's")
  for text in ("old", "new"):
    artefact.write(tmp_path / "net.jaxexport", text.encode(), {"text": text})
    assert state(tmp_path) == (text, text)
  assert sorted(x.name for x in tmp_path.iterdir()) == sorted([*users, "net.jaxexport", "net.json"])
  assert all((tmp_path / name).read_text() == "a user's" for name in users)


@pytest.mark.parametrize("call", ["fsync", "replace", "write_bytes", "write_text"])
def test_wherever_storage_fails_the_two_belong_together(
  tmp_path: pathlib.Path, call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
  path = tmp_path / "net.jaxexport"
  artefact.write(path, b"old", {"text": "old"})
  owner = files.os if call == "fsync" else pathlib.Path
  real = getattr(owner, call)
  seen: list[tuple[str, str, bool]] = []
  for number in range(99):
    calls = iter(range(99))

    def fail(*args: object, calls=calls, number=number) -> object:
      if next(calls) == number:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
      return real(*args)

    with monkeypatch.context() as patch:
      patch.setattr(owner, call, fail)
      try:
        artefact.write(path, b"new", {"text": "new"})
        break
      except OSError as error:
        seen.append((*state(tmp_path), str(tmp_path) in str(error)))
    assert {x.name for x in tmp_path.iterdir()} <= {"net.jaxexport", "net.json"}
    artefact.write(path, b"old", {"text": "old"})
  assert state(tmp_path) == ("new", "new")
  assert seen[0] == ("old", "old", True)  # with the name of the file
  assert {x[:2] for x in seen} <= {("old", "old"), ("new", ""), ("new", "new")}


@pytest.mark.parametrize(
  ("renames", "expected"), [(0, ("old", "old")), (1, ("old", "")), (2, ("new", ""))]
)
def test_a_kill_leaves_a_program_with_its_own_json_or_none(
  tmp_path: pathlib.Path, renames: int, expected: tuple[str, str]
) -> None:
  path = tmp_path / "net.jaxexport"
  artefact.write(path, b"old", {"text": "old"})
  done = subprocess.run([sys.executable, "-c", KILLED, str(path), str(renames)], cwd=ROOT)
  assert done.returncode == -signal.SIGKILL
  assert state(tmp_path) == expected
  artefact.write(path, b"new", {"text": "new"})
  assert state(tmp_path) == ("new", "new")
