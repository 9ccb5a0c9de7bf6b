"""Tells what is damaged from what cannot be read just now: an action on a folder -> its result.

What a storage library says does not tell the two apart, so the files are read once more as they
are: where the system gives all of their bytes and they still make no checkpoint, it is damaged.
"""

from collections.abc import Callable, Iterator, Sequence
import contextlib
import errno
import functools
import os
import pathlib
import re
import shutil
import tempfile
import time
from typing import TypeVar

from hrnet_jax import files
from hrnet_jax.checkpoint.checksums import Damaged
from hrnet_jax.checkpoint.versions import Unfit
from hrnet_jax.errors import first_line
from hrnet_jax.run_log import log

_T = TypeVar("_T")

_CHUNK = 2**20  # bytes
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 2.0
# How TensorStore passes on what the system said.
_OF_SYSTEM = re.compile(r"\bos_error_code='(\d+)'")


class Unreadable(OSError):
  """A checkpoint whose bytes the system does not give; nothing is known about them."""

  def __init__(self, number: int | None, text: str):
    """`number` is the system's."""
    super().__init__(text)
    self.errno = number


class Gone(FileNotFoundError):
  """A checkpoint that is not in its folder any more, while the folder is there."""

  def __init__(self, folder: pathlib.Path):
    """`folder` is the checkpoint's."""
    super().__init__(f"{folder} is not there any more; its run keeps checkpoint.keep_last of them")
    self.errno = errno.ENOENT


def reliably(folder: pathlib.Path, read: Callable[[], _T]) -> _T:
  """Reads a checkpoint, again and again while storage does not give its bytes.

  Args:
    folder: of the checkpoint.
    read: may be done several times.

  Raises:
    Damaged: twice, all bytes were there and were not what was written.
    Unreadable: they were not to be had for `files.PATIENCE` seconds, or may not be read.
    Gone: somebody has removed or moved the checkpoint.
    Unfit: as `read` raises it.
  """
  end, pause, suspected = time.monotonic() + files.PATIENCE, _FIRST_PAUSE, False
  while True:
    try:
      return read()
    except (Unfit, MemoryError):
      raise
    except Exception as error:
      failure = error
    if (trouble := _trouble(folder) or _passing(failure)) is None:
      if suspected:
        raise Damaged(first_line(failure), folder) from failure
      suspected = True
      continue
    waiting = trouble.errno in files.TRANSIENT | {errno.ENOENT}
    if not waiting or time.monotonic() + pause > end:
      raise Unreadable(
        trouble.errno,
        f"{folder} cannot be read now, which says nothing about its content "
        f"({first_line(trouble)}); nothing was changed, try again when the storage is well",
      ) from trouble
    time.sleep(pause)
    pause = min(2 * pause, _LONGEST_PAUSE)


@contextlib.contextmanager
def held(folder: pathlib.Path, items: Sequence[str]) -> Iterator[pathlib.Path]:
  """A copy of some items, all of whose files were opened before the first was read.

  For a checkpoint that its run may remove at any time: files that are open stay.

  Raises:
    Gone: it was removed before.
  """
  with tempfile.TemporaryDirectory() as place, contextlib.ExitStack() as stack:
    opened = {}
    try:
      for below, folders, names, descriptor in os.fwalk(folder, onerror=_raise):
        if pathlib.Path(below) == folder:
          folders[:], names = [x for x in folders if x in items], []
        for name in names:
          number = os.open(name, os.O_RDONLY, dir_fd=descriptor)
          file = stack.enter_context(os.fdopen(number, "rb"))
          opened[pathlib.Path(below, name).relative_to(folder)] = file
    except FileNotFoundError:
      raise Gone(folder) from None
    copy = pathlib.Path(place, folder.name)
    for name, file in opened.items():
      (copy / name).parent.mkdir(parents=True, exist_ok=True)
      with (copy / name).open("wb") as target:
        shutil.copyfileobj(file, target)
    yield copy


def of_system(error: BaseException | None) -> OSError | None:
  """The error of the operating system that is behind one of a library, if there is one."""
  seen = set()
  while error is not None and id(error) not in seen:
    seen.add(id(error))
    if isinstance(error, OSError) and error.errno is not None:
      return error
    if match := _OF_SYSTEM.search(str(error)):
      return OSError(int(match[1]), os.strerror(int(match[1])))
    error = error.__cause__ or error.__context__
  return None


@functools.lru_cache(maxsize=1000)
def say_once(text: str) -> None:
  """Says something that would be found again and again."""
  log.info(text)


def _passing(failure: Exception) -> OSError | None:
  """The system's error while reading, if it is of the kind that passes."""
  error = of_system(failure)
  return error if error is not None and error.errno in files.TRANSIENT else None


def _trouble(folder: pathlib.Path) -> OSError | None:
  """Why not all bytes of a checkpoint can be read, if so.

  Raises:
    Gone: it is not there, but the folder that it was in is.
  """
  try:
    for below, _, names in os.walk(folder, onerror=_raise):
      for name in names:
        with pathlib.Path(below, name).open("rb", buffering=0) as file:
          while file.read(_CHUNK):
            pass
  except OSError as error:
    if _is_gone(folder):
      raise Gone(folder) from None
    return error
  return None


def _is_gone(folder: pathlib.Path) -> bool:
  """Whether the folder around a checkpoint can be read, and does not list it."""
  try:
    return folder.name not in os.listdir(folder.parent)
  except OSError:
    return False


def _raise(error: OSError) -> None:
  raise error
