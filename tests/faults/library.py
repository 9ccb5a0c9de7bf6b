"""The C library that makes calls of the system fail: built, loaded and told what to do."""

from collections.abc import Iterable, Iterator, Sequence
import contextlib
import ctypes
import errno
import functools
import hashlib
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
from typing import NamedTuple

SOURCE = pathlib.Path(__file__).with_name("faults.c")
SHORT, DIE_BEFORE, DIE_HALF, DIE_AFTER = -1, -2, -3, -4
# Calls that change something, and those that only look.
CHANGING = ("open", "write", "fsync", "rename", "link", "unlink", "rmdir", "mkdir", "truncate")
LOOKING = ("openr", "read", "stat", "list")
# What a full disk refuses, for as long as it is full.
GROWING = ("open", "write", "fsync", "mkdir", "link", "truncate")


class Call(NamedTuple):
  """A call of the system.

  Attributes:
    name: of its family, of `CHANGING` or `LOOKING`.
    path: from the folder that is watched.
    second: the other path of a renaming or a link; empty elsewhere.
  """

  name: str
  path: str
  second: str


class Fault(NamedTuple):
  """Something that happens to one call, and perhaps to those after it.

  Attributes:
    title: for tables.
    number: an error's, or one of the negative numbers of this module.
    later: families of calls to which it happens from then on.
  """

  title: str
  number: int
  later: tuple[str, ...] = ()


def once(name: str) -> Fault:
  """One call fails with the error of this name."""
  return Fault(name, getattr(errno, name))


NOTHING = Fault("nothing", 0)
FULL = Fault("ENOSPC from then on", errno.ENOSPC, GROWING)
GONE = Fault("EIO from then on", errno.EIO, (*CHANGING, *LOOKING))
SHORT_WRITE = Fault("short write", SHORT)


def missing() -> str:
  """Why faults cannot be made on this machine; empty where they can."""
  if not sys.platform.startswith("linux"):
    return "needs Linux, whose loader knows LD_PRELOAD"
  return "" if _compiler() else "needs a C compiler: cc, gcc or clang"


def build() -> pathlib.Path:
  """Compiles the library unless it has been; the file.

  Raises:
    CalledProcessError: the compiler refuses.
  """
  name = hashlib.sha256(SOURCE.read_bytes()).hexdigest()[:12]
  folder = pathlib.Path(tempfile.gettempdir()) / f"hrnet_faults_{os.getuid()}"
  folder.mkdir(mode=0o700, exist_ok=True)
  target = folder / f"{name}.so"
  if not target.exists():
    made = folder / f"{name}.{os.getpid()}.so"
    flags = ["-shared", "-fPIC", "-O1", "-o", str(made), str(SOURCE), "-ldl", "-lpthread"]
    subprocess.run([_compiler(), *flags], check=True)
    made.replace(target)
  return target


def environment() -> dict[str, str]:
  """Variables of a process in which faults can be made."""
  before = os.environ.get("LD_PRELOAD", "")
  return {**os.environ, "LD_PRELOAD": f"{build()} {before}".strip()}


def loaded() -> bool:
  """Whether they can be made in this process."""
  return str(build()) in os.environ.get("LD_PRELOAD", "")


@contextlib.contextmanager
def watched(
  root: pathlib.Path,
  call: str = "",
  nth: int = 0,
  fault: Fault = NOTHING,
  *,
  copies: pathlib.Path | None = None,
) -> Iterator[None]:
  """Counts and writes down calls for paths below a folder, and makes one of them fail.

  Args:
    root: absolute, without links.
    call: the family whose calls are counted; without it nothing fails.
    nth: which of them, from 1.
    fault: happens there.
    copies: a folder for copies of `root`, one before each call that changes something and one
      inside each write, named NUMBER-before and NUMBER-half.
  """
  strings = (str(root), call, ",".join(fault.later), str(copies or ""))
  where, name, later, folder = (x.encode() for x in strings)
  _library().faults_arm(where, name, nth, fault.number, later, folder)
  try:
    yield
  finally:
    _library().faults_disarm()


def calls() -> list[Call]:
  """What was called since `watched` began last."""
  room = _library().faults_log(None, 0)
  buffer = ctypes.create_string_buffer(room + 1)
  _library().faults_log(buffer, room)
  lines = buffer.raw[:room].decode(errors="surrogateescape").splitlines()
  return [Call(*line.split("\t")[1:]) for line in lines]


def fired() -> int:
  """How many calls something has happened to since `watched` began last."""
  return _library().faults_disarm()


def points(found: Iterable[Call], names: Sequence[str]) -> list[tuple[str, int, Call]]:
  """Family, number within it and call, of each that belongs to one of `names`."""
  counts = dict.fromkeys(names, 0)
  listed = []
  for call in found:
    if call.name in counts:
      counts[call.name] += 1
      listed.append((call.name, counts[call.name], call))
  return listed


def unsynced(found: Iterable[Call]) -> set[str]:
  """Files that were written and not brought to the disk since, by the names that they have then."""
  files: set[str] = set()
  for name, path, second in found:
    if name in ("write", "truncate"):
      files.add(path)
    elif name in ("fsync", "unlink"):
      files.discard(path)
    elif name == "rename":
      moved = {x for x in files if x == path or x.startswith(f"{path}/")}
      files = files - moved - {second} | {second + x[len(path) :] for x in moved}
    elif name == "link" and path in files:
      files.add(second)
  return files


@functools.cache
def _library() -> ctypes.CDLL:
  if not loaded():
    raise RuntimeError("LD_PRELOAD does not name the library; start with `environment()`")
  library = ctypes.CDLL(str(build()))
  text = ctypes.c_char_p
  library.faults_arm.argtypes = (text, text, ctypes.c_long, ctypes.c_int, text, text)
  library.faults_arm.restype = None
  library.faults_disarm.restype = ctypes.c_long
  library.faults_log.argtypes = (text, ctypes.c_size_t)
  library.faults_log.restype = ctypes.c_size_t
  return library


def _compiler() -> str | None:
  return next((x for x in map(shutil.which, ("cc", "gcc", "clang")) if x), None)
