"""One writer a folder: who has it, kept in the folder itself, so that it works on every storage.

`FOLDER/.owner` holds numbered records; the highest number is the owner's. A newcomer makes the next
number, as a link to a complete file, which is atomic and exclusive on local disks and on NFS, and
counts for nothing if there is a higher one afterwards. No lock of the operating system is needed,
which storage of several machines often has not.
"""

from collections.abc import Callable
import contextlib
import dataclasses
import datetime
import errno
import json
import os
import pathlib
import secrets
import shlex
import sys
import threading
import time

from hrnet_jax import ending, processes
from hrnet_jax.errors import UserError
from hrnet_jax.files import patiently, temporary_name, write_whole
from hrnet_jax.processes import Identity

FOLDER = ".owner"
_KEPT = 2  # records below the highest, for processes that are about to read one
_RENEWAL_SECONDS = 10.0
_WATCH_SECONDS = 35.0  # without a renewal, after which an owner on another machine is dead
_LOOK_SECONDS = 0.5
_TRIES = 100
_WAIT_SECONDS = 5.0  # for storage, at the end
# What storage without links says.
_NO_LINKS = {errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EMLINK}


@dataclasses.dataclass(frozen=True)
class Record:
  """An owner, as it tells others.

  Attributes:
    token: a name that no other record has.
    who: the process.
    path: of the folder, as its machine calls it.
    inode: number of the folder of records: a copy of a work folder has another.
    command: how the process was started.
    since: when it took the folder.
    released: whether it has given it back.
  """

  token: str
  who: Identity
  path: str
  inode: int
  command: str
  since: str
  released: bool = False

  def dump(self) -> str:
    """The record as a file."""
    return json.dumps(dataclasses.asdict(self), indent=2) + "\n"

  @classmethod
  def load(cls, text: str) -> "Record | None":
    """From `dump`; None where it is not complete, as after a power cut."""
    try:
      values = json.loads(text)
      return cls(**values | {"who": Identity(**values["who"])})
    except (ValueError, TypeError, KeyError):
      return None


class Owner:
  """Has a folder for itself while the body runs; a context manager."""

  def __init__(
    self,
    folder: pathlib.Path,
    *,
    say: Callable[[str], None] = lambda text: None,
    watch_seconds: float = _WATCH_SECONDS,
    renewal_seconds: float = _RENEWAL_SECONDS,
  ):
    """The folder has to be there.

    Args:
      folder: to have.
      say: is told why the start takes half a minute.
      watch_seconds: how long an owner on another machine is watched before it counts as dead.
      renewal_seconds: how often this one shows that it lives.
    """
    self._work, self._folder = folder, folder / FOLDER
    self._say, self._watch_seconds, self._renewal = say, watch_seconds, renewal_seconds
    self._number = 0
    self._lost = ""  # who has taken the folder
    self._stop = threading.Event()
    self.record: Record | None = None

  def __enter__(self) -> "Owner":
    patiently(lambda: self._folder.mkdir(exist_ok=True))
    watched: dict[str, float] = {}
    while self.record is None:
      number, found = newest(self._folder)
      if number and not self._free(number, found, watched):
        time.sleep(_LOOK_SECONDS)
        continue
      self._try(number + 1)
    self._leaving = ending.before_leaving(lambda status, text: self._release())
    self._leaving.__enter__()
    self._thread = threading.Thread(target=self._renew, name="owner", daemon=True)
    self._thread.start()
    return self

  def __exit__(self, *exc_info: object) -> None:
    self._stop.set()
    self._thread.join(_WAIT_SECONDS)
    self._leaving.__exit__(None, None, None)
    self._release()

  @property
  def token(self) -> str:
    """Name of this owner's record."""
    return self.record.token if self.record else ""

  def check(self, *, look: bool = False) -> None:
    """Makes sure that the folder is still this process's.

    Args:
      look: now, instead of relying on the last renewal.

    Raises:
      UserError: another process has taken it, since this one did not run for a while.
    """
    if look and not self._lost:
      with contextlib.suppress(OSError):
        self._look()
    if self._lost:
      raise UserError(
        f"{self._work} is no longer this run's: {self._lost} has taken it over, since this process "
        "gave no sign of life for a while; this one ends without writing anything more"
      )

  def _free(self, number: int, found: Record | None, watched: dict[str, float]) -> bool:
    """Whether nobody has the folder, as far as can be said by now.

    Raises:
      UserError: somebody has it.
    """
    if found is not None and found.released:
      return True
    alive = processes.lives(found.who) if found is not None else None
    if found is not None and alive and not self._is_copy(found):
      raise UserError(_refusal(self._work, found))
    if alive is not None:
      return True
    # Of another machine, or half written: it counts as long as it is renewed.
    name, now = f"{number} {found and found.token} {self._sign(number)}", time.monotonic()
    if name not in watched:
      if watched and found is not None:
        raise UserError(_refusal(self._work, found))
      watched[name] = now
      other = f"process {found.who.pid} on {found.who.host}" if found else "an unreadable record"
      self._say(
        f"{self._work} was in use by {other}; watching for {self._watch_seconds:.0f} s whether it "
        "still is"
      )
    return now - watched[name] > self._watch_seconds

  def _is_copy(self, found: Record) -> bool:
    """Whether a record came here with a copy of the folder that it is about."""
    return found.path != str(self._work.resolve()) and found.inode != self._inode()

  def _inode(self) -> int:
    return self._folder.stat().st_ino

  def _sign(self, number: int) -> int:
    """Changes whenever the owner renews its record."""
    try:
      with (self._folder / str(number)).open() as file:  # NFS looks again when a file is opened
        return os.fstat(file.fileno()).st_mtime_ns
    except OSError:
      return 0

  def _try(self, number: int) -> None:
    """Makes the record of a number, unless somebody else does, or is ahead."""
    record = Record(
      token=secrets.token_hex(8),
      who=processes.identity(),
      path=str(self._work.resolve()),
      inode=self._inode(),
      command=shlex.join(sys.argv),
      since=datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M:%S UTC"),
    )
    if not patiently(lambda: _create(self._folder / str(number), record.dump())):
      return
    ahead, _ = newest(self._folder)
    if ahead > number:
      # It was read before others came and went; their number counts.
      (self._folder / str(number)).unlink(missing_ok=True)
      return
    self._number, self.record = number, record
    for old in _numbers(self._folder):
      if old < number - _KEPT:
        (self._folder / str(old)).unlink(missing_ok=True)

  def _renew(self) -> None:
    while not self._stop.wait(self._renewal):
      with contextlib.suppress(OSError):  # storage that is away; the next time will tell
        self._look()
        if self._lost:
          return
        os.utime(self._folder / str(self._number))

  def _look(self) -> None:
    number, found = newest(self._folder)
    if number > self._number:
      self._lost = f"process {found.who.pid} on {found.who.host}" if found else "another process"
    elif number < self._number:
      self._lost = "somebody who removed its record"

  def _release(self) -> None:
    if self.record is None or self._lost:
      return
    path, record = self._folder / str(self._number), self.record
    self.record = None
    with contextlib.suppress(OSError):  # who died with the record is found dead
      if newest(self._folder)[0] == self._number:
        write_whole(path, dataclasses.replace(record, released=True).dump())


def newest(folder: pathlib.Path) -> tuple[int, Record | None]:
  """Number and content of the highest record; 0 where there is none, None where it is damaged.

  Raises:
    OSError: the storage does not answer.
  """

  def read() -> tuple[int, Record | None]:
    number = 0
    for _ in range(_TRIES):
      number = max(_numbers(folder), default=0)
      if not number:
        break
      with contextlib.suppress(FileNotFoundError):  # it went while we looked; a higher one is there
        return number, Record.load((folder / str(number)).read_text(errors="replace"))
      time.sleep(0.02)
    return number, None

  return patiently(read)


def sees(folder: pathlib.Path, token: str, seconds: float = 20.0) -> bool:
  """Whether a folder is the one that holds the owner's record, as a process sees it.

  Args:
    folder: the work folder.
    token: of the owner.
    seconds: to wait for storage that shows changes late.
  """
  end = time.monotonic() + seconds
  while True:
    with contextlib.suppress(OSError):
      _, found = newest(folder / FOLDER)
      if found is not None and found.token == token:
        return True
    if time.monotonic() > end:
      return False
    time.sleep(_LOOK_SECONDS)


def _numbers(folder: pathlib.Path) -> list[int]:
  return [int(name) for name in os.listdir(folder) if name.isdecimal()]


def _create(path: pathlib.Path, text: str) -> bool:
  """Makes a file that is not there; whether it was this process that did."""
  temporary = temporary_name(path)
  try:
    temporary.write_text(text)
    os.link(temporary, path)
    return True
  except FileExistsError:
    # The answer of NFS to a link that was made may have been lost.
    return path.read_text(errors="replace") == text
  except OSError as error:
    if error.errno in _NO_LINKS:
      return _create_without_links(path, text)
    raise
  finally:
    with contextlib.suppress(OSError):
      temporary.unlink(missing_ok=True)


def _create_without_links(path: pathlib.Path, text: str) -> bool:
  """The same; for a moment the file is there without its content."""
  try:
    with path.open("x") as file:
      file.write(text)
    return True
  except FileExistsError:
    return False


def _refusal(folder: pathlib.Path, found: Record) -> str:
  who = found.who
  return (
    f"{folder} is in use: process {who.pid} on {who.host} has written to it since {found.since} "
    f"({found.command}); wait for its end, stop it (kill {who.pid} there), or choose another "
    "--workdir"
  )
