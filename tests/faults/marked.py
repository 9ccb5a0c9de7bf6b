"""Processes that carry a mark in their environment, with all that they start, and their memory."""

from collections.abc import Iterator
import contextlib
import os
import pathlib
import re
import signal
import time

VARIABLE = "HRNET_JAX_TEST_MARK"
_SHARED = re.compile(r"/dev/shm/(\S+)")


def processes(mark: str) -> set[int]:
  """Ids of those that run; the dead that nobody has asked about do not count."""
  wanted = f"{VARIABLE}={mark}".encode()
  return {
    pid
    for pid in _ids()
    if wanted in _read(pid, "environ").split(b"\0") and not _is_dead(_read(pid, "stat"))
  }


def shared_memory(pids: set[int]) -> set[str]:
  """Names in /dev/shm that processes have mapped or opened."""
  found: set[str] = set()
  for pid in pids:
    found |= set(_SHARED.findall(_read(pid, "maps").decode(errors="replace")))
    with contextlib.suppress(OSError):
      for link in pathlib.Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
          found |= set(_SHARED.findall(str(link.readlink())))
  return found


def left_in_shared_memory(names: set[str]) -> set[str]:
  """Those of some names that are still there."""
  folder = pathlib.Path("/dev/shm")
  return {name for name in names if (folder / name).exists()}


def wait_until_gone(mark: str, seconds: float) -> set[int]:
  """Those that are there after so many seconds; returns early where there is none."""
  end = time.monotonic() + seconds
  while (found := processes(mark)) and time.monotonic() < end:
    time.sleep(0.05)
  return found


def end(pids: set[int]) -> None:
  """Kills processes that a test has started and that were to be gone."""
  for pid in pids:
    with contextlib.suppress(ProcessLookupError):
      os.kill(pid, signal.SIGKILL)


def command(pid: int) -> str:
  """The end of a process's command line."""
  return _read(pid, "cmdline").replace(b"\0", b" ").decode(errors="replace")[-100:].strip()


def memory(pids: set[int]) -> float:
  """MiB that processes hold."""
  pages = (_read(pid, "statm").split() for pid in pids)
  return sum(int(x[1]) for x in pages if x) * os.sysconf("SC_PAGE_SIZE") / 2**20


def _ids() -> Iterator[int]:
  for path in pathlib.Path("/proc").iterdir():
    if path.name.isdigit() and int(path.name) != os.getpid():
      yield int(path.name)


def _read(pid: int, name: str) -> bytes:
  """A file about a process; empty if it ends meanwhile or belongs to somebody else."""
  try:
    return pathlib.Path(f"/proc/{pid}/{name}").read_bytes()
  except OSError:
    return b""


def _is_dead(stat: bytes) -> bool:
  return not stat or stat.rpartition(b")")[2].split()[:1] == [b"Z"]
