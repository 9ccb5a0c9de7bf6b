"""The shape of what is done with faults, and helpers to compare folders."""

import atexit
from collections.abc import Callable, Iterable
import dataclasses
import os
import pathlib
import re
import shutil
import tempfile
import time

from hrnet_jax import files
from tests.faults import library

# What is there; `PART` is what the operation says of itself that it may leave.
OLD, NEW, PART = "old", "new", "part"
_RANDOM = re.compile(r"[0-9a-f]{12,}|\d{5,}")
_AGE = 7200.0  # seconds after which nobody works on a temporary file any more


@dataclasses.dataclass(frozen=True)
class Operation:
  """Something that the package does with files below a folder.

  Attributes:
    name: for people.
    prepare: puts what is there before into an empty folder.
    run: does it; raises where it did not succeed.
    look: `OLD`, `NEW`, `PART`, or what is wrong with what is there; changes nothing that matters.
    again: the command that follows a failure or a kill; raises where it did not succeed.
    calls: families of calls that are made to fail.
    survives: whether single errors that pass by themselves have to be waited out, not said.
    share: makes one fault of so many, since another operation has the same points.
  """

  name: str
  prepare: Callable[[pathlib.Path], None]
  run: Callable[[pathlib.Path], None]
  look: Callable[[pathlib.Path], str]
  again: Callable[[pathlib.Path], None]
  calls: tuple[str, ...] = library.CHANGING
  survives: bool = False
  share: int = 1


def replaces(
  name: str,
  write: Callable[[pathlib.Path, int], None],
  look: Callable[[pathlib.Path], str],
  *,
  fresh: bool = False,
  survives: bool = True,
) -> Operation:
  """An operation that replaces a first version by a second, or writes the second alone.

  Args:
    name: for people.
    write: `write(folder, version)` with version 1 or 2.
    look: see `Operation`.
    fresh: nothing is there before.
    survives: see `Operation`.
  """

  def again(folder: pathlib.Path) -> None:
    write(folder, 2)
    if (found := look(folder)) != NEW:
      raise ValueError(f"after the next command: {found}")

  return Operation(
    name,
    prepare=lambda folder: None if fresh else write(folder, 1),
    run=lambda folder: write(folder, 2),
    look=look,
    again=again,
    survives=survives,
  )


def contents(folder: pathlib.Path, names: Iterable[str]) -> dict[str, bytes | None]:
  """What is in some files; None for those that are not there."""
  paths = {name: folder / name for name in names}
  return {name: x.read_bytes() if x.exists() else None for name, x in paths.items()}


def scratch() -> pathlib.Path:
  """A folder that is removed when the process ends."""
  folder = pathlib.Path(tempfile.mkdtemp(prefix="hrnet_faults_"))
  atexit.register(shutil.rmtree, folder, ignore_errors=True)
  return folder


def steady(name: str) -> str:
  """A path with a star for what is random in it."""
  return _RANDOM.sub("*", name)


def tree(folder: pathlib.Path) -> set[str]:
  """Paths of everything below a folder, each `steady`."""
  return {steady(str(path.relative_to(folder))) for path in folder.rglob("*")}


def age(folder: pathlib.Path) -> None:
  """Makes temporary files and folders look like those of a process that ended long ago."""
  if hasattr(files, "_temporaries"):
    files._temporaries.cache_clear()  # of this process, which goes on
  past = time.time() - _AGE
  for path in list(folder.rglob("*")):
    if any(files.is_temporary(x) for x in (path, *path.parents)):
      os.utime(path, (past, past), follow_symlinks=False)
