"""Where prepared data sets live: complete or absent, and never changed once they are there.

The files of a data set are in a folder that is named by their content and is not touched again,
`data_dir/name/version/0123456789abcdef`; `current.json` beside it names the one that is opened.
Whoever has opened a data set reads it to its end, whatever is prepared meanwhile: the older ones
stay until somebody removes them. Earlier versions wrote into `data_dir/name/version` itself; what
they wrote is read there, until something else is prepared. `data_dir/.staging/name` holds what a
build has written so far.
"""

from collections.abc import Iterator
import contextlib
import dataclasses
import json
import os
import pathlib
import re
import shutil
import sys
from typing import Any

import filelock

from hrnet_jax import files
from hrnet_jax.data import contents
from hrnet_jax.errors import UserError, about_input

_DEFAULT_DATA_DIR = "~/.cache/hrnet_jax/datasets"
_REQUIRED_FILES = ("dataset_info.json", "features.json", "metadata.json")
_CURRENT = "current.json"
_LETTERS = 16  # of the digest, in the name of a folder
_FOLDER = re.compile(rf"[0-9a-f]{{{_LETTERS}}}")
# Of the facts in metadata.json. Data sets with another number are prepared anew.
FORMAT = 2


def resolve_data_dir(data_dir: str | os.PathLike | None) -> pathlib.Path:
  """The folder of prepared data sets: the argument, $HRNET_JAX_DATA, or one in the cache."""
  chosen = data_dir or os.environ.get("HRNET_JAX_DATA") or _DEFAULT_DATA_DIR
  return pathlib.Path(chosen).expanduser().absolute()


@dataclasses.dataclass(frozen=True)
class Stored:
  """A complete data set on disk.

  Attributes:
    folder: of its files.
    digest: of the list of its files; empty where an earlier version has written it.
    signature: of the source it was made of; empty likewise.
  """

  folder: pathlib.Path
  digest: str = ""
  signature: str = ""

  def check(self) -> str:
    """Compares the files with what was written, as far as that takes but a moment.

    Of what earlier versions wrote the facts are compared, or nothing.

    Returns:
      The digest of the content.

    Raises:
      OSError: a file cannot be read. UserError: one is another than it was.
    """
    if self.digest:
      contents.check(self.folder, contents.read(self.folder, self.digest))
      return self.digest
    self._check_facts()
    return contents.summarise(self.folder)

  def damaged(self, done: contents.Done | None = None) -> dict[str, str] | None:
    """Reads everything, and says what is wrong with which file; None if nobody can tell.

    Args:
      done: is told how many files have been read, of how many.

    Raises:
      OSError: a file cannot be read. UserError: the list of the files is not what it was.
    """
    if not self.digest:
      self._check_facts()
      return None
    return contents.damaged(self.folder, contents.read(self.folder, self.digest), done)

  def _check_facts(self) -> None:
    path = self.folder / contents.NAME
    if not path.is_file():
      return
    with about_input(f"{path}: damaged; remove it"):
      written = json.loads(path.read_bytes())
      found = {name: contents.digest(self.folder / name) for name in _REQUIRED_FILES}
      wrong = [name for name, value in found.items() if value != written[name]]
    if wrong:
      raise UserError(f"{self.folder / wrong[0]}: is not what was written; {contents.AGAIN}")


class Place:
  """The folders of one data set.

  Attributes:
    target: in which the complete data sets are, if there are any.
    building: the TFDS `data_dir` of a build in progress.
  """

  def __init__(self, data_dir: pathlib.Path, name: str, version: str):
    self._staging = data_dir / ".staging" / name.replace("/", "+")
    self._name, self._version = name, version
    self._lock_file = self._staging.with_suffix(".lock")
    self._previous = self._staging / "previous"
    self.building = self._staging / "building"
    self.target = data_dir / name / version

  @property
  def current(self) -> Stored | None:
    """The data set that is opened now; None if there is none of today's format.

    Raises:
      OSError: storage does not say.
    """
    return files.patiently(self._find)

  @property
  def interrupted(self) -> bool:
    """Whether an earlier version was cut between the two renames of its replacement."""
    return self._previous.exists() and not self.target.exists()

  @contextlib.contextmanager
  def lock(self) -> Iterator[None]:
    """Excludes all other processes, and removes what an interrupted one has left."""
    self._lock_file.parent.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(self._lock_file)
    try:
      lock.acquire(blocking=False)
    except filelock.Timeout:
      print(f"{self._name}: another process is preparing it; waiting", file=sys.stderr, flush=True)
      lock.acquire(poll_interval=0.1)
    try:
      # The kernel releases the lock with the process, so whoever holds it is alone: all that is
      # found in the staging folder is left over.
      self._recover()
      try:
        yield
      finally:
        self._recover()
    finally:
      lock.release()

  def publish(self, signature: str) -> None:
    """Gives a finished build its folder, and then makes it the one that is opened.

    The same content is stored once; where a file of it was damaged, it is put right.

    Args:
      signature: of the source it was made of.

    Raises:
      OSError: it could not be written; what was opened before still is.
    """
    built = self.building / self._name / self._version
    digest = contents.write(built)
    folder = self.target / digest[:_LETTERS]
    self.target.mkdir(parents=True, exist_ok=True)
    if not folder.exists():
      files.publish(built, folder)
    else:
      for name in [*contents.damaged(folder, contents.read(built)), contents.NAME]:
        files.publish(built / name, folder / name)
    pointer = {"content": digest, "signature": signature}
    files.write_whole(self.target / _CURRENT, json.dumps(pointer, indent=1) + "\n")

  def older(self) -> dict[pathlib.Path, int]:
    """Files and folders of data sets that are not opened any more, and their bytes."""
    current = self.current
    if current is None or not self.target.is_dir():
      return {}
    found = {}
    for path in sorted(self.target.iterdir()):
      if path.is_dir():
        if _FOLDER.fullmatch(path.name) and path != current.folder:
          found[path] = contents.size(path)
      elif current.folder != self.target and _is_ours(path.name):
        found[path] = path.stat().st_size
    return found

  def remove_older(self) -> dict[pathlib.Path, int]:
    """Removes what `older` lists, and returns it; the caller holds the lock."""
    removed = self.older()
    self._staging.mkdir(parents=True, exist_ok=True)
    for path in removed:
      # Under its own name a data set is whole; what is in the staging folder is left over.
      path.rename(self._staging / path.name)
    self._recover()
    return removed

  def _find(self) -> Stored | None:
    try:
      content = (self.target / _CURRENT).read_bytes()
    except FileNotFoundError:
      found = Stored(self.target)
    else:
      found = _pointed_at(self.target, content)
    return found if found and _is_complete(found.folder) else None

  def _recover(self) -> None:
    if self.interrupted:
      self.target.parent.mkdir(parents=True, exist_ok=True)
      self._previous.rename(self.target)
    shutil.rmtree(self._staging, ignore_errors=True)
    if self.target.is_dir():
      for path in filter(files.is_temporary, self.target.iterdir()):
        path.unlink(missing_ok=True)


def _is_ours(name: str) -> bool:
  """Whether an earlier version may have written a file of this name into `target`."""
  known = name in (*_REQUIRED_FILES, contents.NAME) or name.endswith(".labels.txt")
  return known or contents.is_of_records(name)


def _is_complete(folder: pathlib.Path) -> bool:
  """Whether a whole data set of today's format can be read from a folder."""
  if not all((folder / file).is_file() for file in _REQUIRED_FILES):
    return False
  return _object((folder / "metadata.json").read_bytes()).get("format") == FORMAT


def _pointed_at(target: pathlib.Path, content: bytes) -> Stored | None:
  """The data set that `current.json` names; None if it is damaged, and will be replaced."""
  pointer = _object(content)
  digest, signature = pointer.get("content"), pointer.get("signature")
  if not isinstance(digest, str) or not re.fullmatch("[0-9a-f]{64}", digest):
    return None
  if not isinstance(signature, str):
    return None
  return Stored(target / digest[:_LETTERS], digest, signature)


def _object(content: bytes) -> dict[str, Any]:
  """An object of JSON; an empty one if it is none."""
  try:
    found = json.loads(content)
  except (ValueError, RecursionError):
    return {}
  return found if isinstance(found, dict) else {}
