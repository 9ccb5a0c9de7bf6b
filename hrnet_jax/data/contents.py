"""The list of a prepared data set's files, by which any change of them is noticed.

`checksums.json` has for every file beside it `{"bytes": size, "ends": sha256 of the first and last
64 KiB, "sha256": of all}`. Its own sha256 is the digest of the data set and names its folder, so
that nothing can be changed without another name. Opening a data set looks at the files of facts
whole, and at the sizes and ends of those of records: their index lies at the end, and every record
within has a checksum of the format.
"""

from collections.abc import Callable, Collection, Mapping
from concurrent import futures
import functools
import hashlib
import json
import os
import pathlib
from typing import Any, TypeVar

from hrnet_jax.errors import UserError, about_input
from hrnet_jax.files import patiently, write_whole

NAME = "checksums.json"
AGAIN = "prepare the data set again, with --overwrite"
_RECORDS = ".array_record"  # in the names of files of records; all others are of facts
_END = 2**16  # bytes, of which the format puts its index into the last
_READERS = 16  # files at once; storage over a network answers each of them after a while

Listed = Mapping[str, Mapping[str, Any]]
Done = Callable[[int, int], None]  # files read, files in all
_T = TypeVar("_T")


def write(folder: pathlib.Path) -> str:
  """Lists the files of a folder, in it, and returns the digest of the list.

  Raises:
    OSError: a file cannot be read, or the list not written.
  """
  names = sorted(x.name for x in folder.iterdir() if x.name != NAME)
  described = _each(lambda name: _ends(folder / name) | {"sha256": digest(folder / name)}, names)
  lines = (f"{json.dumps(name)}: {json.dumps(x)}" for name, x in described.items())
  text = "{\n" + ",\n".join(lines) + "\n}\n"
  write_whole(folder / NAME, text)
  return hashlib.sha256(text.encode()).hexdigest()


def read(folder: pathlib.Path, expected: str = "") -> Listed:
  """The list of a folder.

  Args:
    folder: of the data set.
    expected: the digest of the list.

  Raises:
    OSError: it cannot be read. UserError: it is another than it was.
  """
  try:
    content = patiently((folder / NAME).read_bytes)
  except FileNotFoundError:
    if not folder.is_dir():
      raise  # removed by somebody else
    raise UserError(f"{folder / NAME}: is missing; {AGAIN}") from None
  if expected and hashlib.sha256(content).hexdigest() != expected:
    raise UserError(f"{folder / NAME}: is not what was written; {AGAIN}")
  with about_input(f"{folder / NAME}: damaged; {AGAIN}"):
    listed = json.loads(content)
    for name, x in listed.items():
      if pathlib.PurePath(name).name != name or not {"bytes", "sha256", "ends"} <= x.keys():
        raise ValueError(name)
  return listed


def check(folder: pathlib.Path, listed: Listed) -> None:
  """Looks at what can be looked at in a moment.

  Raises:
    OSError: a file cannot be read. UserError: one is missing, or another than it was.
  """
  for name, wrong in _each(functools.partial(_wrong, folder, listed, whole=False), listed).items():
    if wrong:
      raise UserError(f"{folder / name}: {wrong}; {AGAIN}")


def damaged(folder: pathlib.Path, listed: Listed, done: Done | None = None) -> dict[str, str]:
  """Reads everything.

  Args:
    folder: of the data set.
    listed: its list.
    done: is told how many files have been read, of how many.

  Returns:
    The files that are not as they were, and what is wrong with each.

  Raises:
    OSError: a file cannot be read.
  """
  found = _each(functools.partial(_wrong, folder, listed, whole=True), listed, done)
  return {name: wrong for name, wrong in found.items() if wrong}


def is_intact(path: pathlib.Path) -> bool | None:
  """Whether a file is what was written, by all of its bytes; None if nobody has listed it.

  Raises:
    OSError: it cannot be read, also not a while later.
  """
  found = digest(path)
  try:
    return read(path.parent)[path.name]["sha256"] == found
  except (FileNotFoundError, UserError, KeyError):
    return None


def summarise(folder: pathlib.Path) -> str:
  """A digest of a data set without a list, by what `check` looks at in those that have one.

  Raises:
    OSError: a file cannot be read.
  """
  names = sorted(x.name for x in folder.iterdir() if x.is_file())
  described = json.dumps(_each(lambda name: _quick(folder / name), names))
  return hashlib.sha256(described.encode()).hexdigest()


def size(folder: pathlib.Path) -> int:
  """Bytes of all files of a folder and those in it."""
  return sum(x.stat().st_size for x in folder.rglob("*") if x.is_file())


def is_of_records(name: str) -> bool:
  """Whether a file of a data set holds records; all others hold facts."""
  return _RECORDS in name


def digest(path: pathlib.Path) -> str:
  """The sha256 of a file.

  Raises:
    OSError: it cannot be read, also not a while later.
  """

  def of_all() -> str:
    with path.open("rb") as file:
      return hashlib.file_digest(file, "sha256").hexdigest()

  return _patiently(path, of_all)


def _ends(path: pathlib.Path) -> dict[str, Any]:
  """The size of a file, and the sha256 of its ends; of the whole if they meet."""

  def of_ends() -> dict[str, Any]:
    with path.open("rb") as file:
      length = os.fstat(file.fileno()).st_size
      found = hashlib.sha256(file.read(_END))
      file.seek(max(_END, length - _END))
      found.update(file.read(_END))
    return {"bytes": length, "ends": found.hexdigest()}

  return _patiently(path, of_ends)


def _patiently(path: pathlib.Path, action: Callable[[], _T]) -> _T:
  try:
    return patiently(action)
  except OSError as error:
    error.filename = error.filename or str(path)  # of an open file, the system says no name
    raise


def _quick(path: pathlib.Path) -> dict[str, Any]:
  return _ends(path) if is_of_records(path.name) else {"sha256": digest(path)}


def _wrong(folder: pathlib.Path, listed: Listed, name: str, *, whole: bool) -> str:
  """The fault of a file; empty if it has none."""
  try:
    found = {"sha256": digest(folder / name)} if whole else _quick(folder / name)
  except FileNotFoundError:
    return "is missing"
  same = all(listed[name][key] == value for key, value in found.items())
  return "" if same else "is not what was written"


def _each(
  function: Callable[[str], _T], names: Collection[str], done: Done | None = None
) -> dict[str, _T]:
  """Results of a function for each name, several at once."""
  found = {}
  with futures.ThreadPoolExecutor(_READERS) as pool:
    for name, result in zip(names, pool.map(function, names), strict=True):
      found[name] = result
      if done:
        done(len(found), len(names))
  return found
