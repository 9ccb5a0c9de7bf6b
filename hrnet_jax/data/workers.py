"""Worker processes that live no longer than the process that started them, nor does their memory.

They share memory with it under names in /dev/shm. Python has a process for each program that
removes such names once all of the program's processes are gone, however they ended. So it is enough
that the workers end: each has a thread that waits for the end of its parent, which closes a pipe.
Should that process of Python's have been killed as well, the next start removes what is left.
"""

from collections.abc import Iterator
import contextlib
import multiprocessing
from multiprocessing import connection, resource_tracker, shared_memory
import os
import pathlib
import re
import secrets
import signal
import sys
import threading

from hrnet_jax import processes
from hrnet_jax.processes import Identity

_MEMORY = pathlib.Path("/dev/shm")
# Namespace, number and start of the process that the workers belong to.
_NAME = re.compile(r"hrnet-(?P<namespace>\d+)-(?P<pid>\d+)-(?P<start>\d+)-[0-9a-f]+")
_NAMESPACE = re.compile(r"pid:\[(\d+)\]")
# A terminal and a scheduler send these to all processes; a worker goes when its parent says so.
_SIGNALS = {signal.SIGINT, signal.SIGTERM}


@contextlib.contextmanager
def starting() -> Iterator[None]:
  """Threads and processes that the body starts do not hear the signals for the program as a whole.

  A worker that hears Ctrl-C while it imports its modules would show where.
  """
  _remove_leftovers()
  _start_cleaner_quietly()
  before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
  try:
    yield
  finally:
    signal.pthread_sigmask(signal.SIG_SETMASK, before)


def set_up(index: int, count: int) -> None:
  """Prepares a worker, which grain calls with its number and how many there are."""
  del index, count
  for number in _SIGNALS:
    signal.signal(number, signal.SIG_IGN)
  parent = multiprocessing.parent_process()
  if parent is None or parent.pid is None:  # grain works with threads where Python has no lock
    return
  threading.Thread(target=_end_with, args=(parent.sentinel,), name="parent", daemon=True).start()
  owner = processes.identity(parent.pid)
  if sys.platform == "linux" and (namespace := _NAMESPACE.fullmatch(owner.namespace)):
    prefix = f"/hrnet-{namespace[1]}-{owner.pid}-{owner.start}-"
    # Python's own names do not tell whose they are.
    shared_memory._make_filename = lambda: prefix + secrets.token_hex(6)  # type: ignore[attr-defined]


def _end_with(sentinel: int) -> None:
  connection.wait([sentinel])
  os._exit(1)


def _start_cleaner_quietly() -> None:
  """Starts Python's process that removes names, which would warn about those that it finds."""
  name, quiet = "PYTHONWARNINGS", "ignore:resource_tracker"
  before = os.environ.get(name)
  os.environ[name] = f"{before},{quiet}" if before else quiet
  try:
    resource_tracker.ensure_running()
  finally:
    if before is None:
      del os.environ[name]
    else:
      os.environ[name] = before


def _remove_leftovers() -> None:
  """Removes memory of programs of this machine of which no process was left to do it."""
  here = processes.identity()
  with contextlib.suppress(OSError):
    for path in _MEMORY.glob("hrnet-*"):
      match = _NAME.fullmatch(path.name)
      if match and here.namespace == f"pid:[{match['namespace']}]":
        who = Identity(here.host, int(match["pid"]), match["start"], here.boot, here.namespace)
        if processes.lives(who) is False:
          path.unlink(missing_ok=True)
