"""Files and folders that are there as a whole or not at all, after a kill and a power cut too.

Whatever must not be half there goes through `whole_file` or `whole_folder`: the new one is written
under a name that nobody else has, brought to the disk, and only then gets its name. The old one is
there until that moment, and stays where anything fails.
"""

from collections.abc import Callable, Iterator
import contextlib
import errno
import functools
import hashlib
import os
import pathlib
import re
import secrets
import shutil
import time
from typing import TypeVar

_T = TypeVar("_T")

# What storage says for a while, such as a mount that comes back or a server that starts again. It
# says nothing about what is stored.
TRANSIENT = frozenset(
  getattr(errno, name)
  for name in (
    "EIO", "ESTALE", "EAGAIN", "EBUSY", "EINTR", "ETIMEDOUT", "ENOTCONN", "ECONNRESET", "ENOLCK",
    "EHOSTDOWN", "EHOSTUNREACH", "ENETDOWN", "ENETUNREACH", "EREMOTEIO", "ENXIO", "ENODEV",
  )
  if hasattr(errno, name)
)  # fmt: skip
PATIENCE = 20.0  # seconds for which such errors are waited out
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 2.0
_LEFTOVER_SECONDS = 3600.0  # a temporary file of this age is nobody's any more
_LOOK_SECONDS = 60.0
_LONGEST_NAME = 200  # bytes
_TEMPORARY = re.compile(r"\.(?P<name>.+)\.hrnet-[0-9a-f]{12}\.tmp", re.DOTALL)
# Folders of some file systems cannot be brought to the disk by name.
_CANNOT_SYNC = {errno.EINVAL, errno.ENOTSUP, errno.EBADF, errno.EISDIR}


def write_whole(path: pathlib.Path, content: str | bytes) -> None:
  """Replaces a file in one step, so that a kill leaves the old or the new one.

  Raises:
    OSError: it could not be written; the old one is there as it was.
  """
  data = content.encode() if isinstance(content, str) else content

  def write() -> None:
    with whole_file(path) as temporary:
      temporary.write_bytes(data)

  patiently(write)


@contextlib.contextmanager
def whole_file(path: pathlib.Path) -> Iterator[pathlib.Path]:
  """A name in the same folder for the body to write to; becomes `path` if nothing is raised.

  Raises:
    OSError: it could not be written, brought to the disk or renamed; `path` is as it was.
  """
  _remove_leftovers(path)
  temporary = temporary_name(path)
  try:
    yield temporary
    publish(temporary, path)
  except BaseException as error:
    with contextlib.suppress(OSError):
      temporary.unlink(missing_ok=True)
    if isinstance(error, OSError) and error.filename in (None, str(temporary), temporary):
      # People know the file by its name, and a full disk says no name.
      error.filename = str(path)
      with contextlib.suppress(AttributeError):
        del error.filename2  # one that is None would be shown
    raise


@contextlib.contextmanager
def whole_folder(path: pathlib.Path) -> Iterator[pathlib.Path]:
  """An empty folder beside `path`, which is not there yet; becomes it if nothing is raised.

  The folder around it has to be there: where it is away, so is what it is mounted on.

  Raises:
    OSError: as `whole_file`, and where `path` is there already and holds something.
  """
  _remove_leftovers(path)
  temporary = temporary_name(path)
  temporary.mkdir()
  try:
    yield temporary
    publish(temporary, path)
  except BaseException:
    shutil.rmtree(temporary, ignore_errors=True)
    raise


def temporary_name(path: pathlib.Path) -> pathlib.Path:
  """A name beside `path` that no other process, and no user, gives to anything."""
  return path.with_name(f".{_short(path.name)}.hrnet-{secrets.token_hex(6)}.tmp")


def is_temporary(path: pathlib.Path) -> bool:
  """Whether a file or folder is one that a process writes, or did not live to finish."""
  return _TEMPORARY.fullmatch(path.name) is not None


def publish(temporary: pathlib.Path, path: pathlib.Path) -> None:
  """Gives what is complete its name, once all of it has reached the disk.

  Raises:
    OSError: one of these failed; what `path` named before is there, unless only the last step, to
      make the new name outlive a power cut, has failed.
  """
  sync(temporary)
  temporary.replace(path)
  sync_names(path.parent)


def sync(path: pathlib.Path) -> None:
  """Waits until a file, or everything in a folder, has reached the disk."""
  if path.is_dir():
    for below in path.iterdir():
      if not below.is_symlink():
        sync(below)
    sync_names(path)
    return
  descriptor = os.open(path, os.O_RDONLY)
  try:
    os.fsync(descriptor)
  finally:
    os.close(descriptor)


def sync_names(folder: pathlib.Path) -> None:
  """Waits until what a folder's files are called has reached the disk, where that can be asked."""
  descriptor = os.open(folder, os.O_RDONLY)
  try:
    os.fsync(descriptor)
  except OSError as error:
    if error.errno not in _CANNOT_SYNC:
      raise
  finally:
    os.close(descriptor)


def patiently(
  action: Callable[[], _T],
  *,
  seconds: float | None = None,
  also: frozenset[int] = frozenset(),
) -> _T:
  """Does something with files, again and again while storage says that it cannot just now.

  Args:
    action: may be done several times.
    seconds: after which the error counts; `PATIENCE` by default.
    also: numbers of errors that pass here, such as ENOENT for a folder on a mount that comes back.

  Raises:
    OSError: an error of another kind at once, or one of these at the end.
  """
  end = time.monotonic() + (PATIENCE if seconds is None else seconds)
  pause = _FIRST_PAUSE
  while True:
    try:
      return action()
    except OSError as error:
      if error.errno not in TRANSIENT | also or time.monotonic() + pause > end:
        raise
    time.sleep(pause)
    pause = min(2 * pause, _LONGEST_PAUSE)


def _remove_leftovers(path: pathlib.Path) -> None:
  """Removes what processes that were killed had begun to write in the place of `path`."""
  with contextlib.suppress(OSError):
    for other in _temporaries(path.parent, int(time.monotonic() // _LOOK_SECONDS)):
      match = _TEMPORARY.fullmatch(other.name)
      if match and match["name"] == _short(path.name) and _age(other) > _LEFTOVER_SECONDS:
        if other.is_dir():
          shutil.rmtree(other, ignore_errors=True)
        else:
          other.unlink(missing_ok=True)


@functools.lru_cache(maxsize=8)
def _temporaries(folder: pathlib.Path, period: int) -> tuple[pathlib.Path, ...]:
  """Temporary files of a folder of perhaps thousands, which is looked through once a period."""
  del period
  return tuple(x for x in folder.iterdir() if is_temporary(x))


def _short(name: str) -> str:
  """A name to which something can be added; file systems allow 255 bytes."""
  long = len(os.fsencode(name)) > _LONGEST_NAME
  return hashlib.sha256(os.fsencode(name)).hexdigest() if long else name


def _age(path: pathlib.Path) -> float:
  return time.time() - path.stat().st_mtime
