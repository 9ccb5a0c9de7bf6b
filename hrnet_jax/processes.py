"""Who a process is, so that others can tell whether it still lives: number, start, machine."""

import dataclasses
import functools
import os
import pathlib
import socket

_BOOT = pathlib.Path("/proc/sys/kernel/random/boot_id")
_GONE = ("Z", "X")  # states of what has ended and is not yet fetched by its parent


@dataclasses.dataclass(frozen=True)
class Identity:
  """Names one process among all of all machines, for as long as files may speak of it.

  Attributes:
    host: name of the machine.
    pid: number of the process.
    start: when it began, in the system's own count; empty where the system does not say.
    boot: of the machine's kernel, which is another one after a restart; empty likewise.
    namespace: in which the number counts, such as a container's; empty likewise.
  """

  host: str
  pid: int
  start: str
  boot: str
  namespace: str


def identity(pid: int | None = None) -> Identity:
  """Names a process of this machine; this one by default."""
  pid = os.getpid() if pid is None else pid
  return Identity(socket.gethostname(), pid, _state(pid)[1], *_machine())


def lives(who: Identity) -> bool | None:
  """Whether a process is still there; None for those of other machines and containers."""
  boot, namespace = _machine()
  if (who.boot, who.namespace) != (boot, namespace) or who.pid <= 0:
    return None
  if not boot and who.host != socket.gethostname():
    return None
  try:
    os.kill(who.pid, 0)
  except (ProcessLookupError, OverflowError):
    return False
  except PermissionError:  # it is there, and somebody else's
    pass
  state, start = _state(who.pid)
  return state not in _GONE and (not start or not who.start or start == who.start)


@functools.cache
def _machine() -> tuple[str, str]:
  """Boot and namespace of `Identity`."""
  try:
    return _BOOT.read_text().strip(), os.readlink("/proc/self/ns/pid")
  except OSError:  # no Linux, or hidden
    return "", ""


def _state(pid: int) -> tuple[str, str]:
  """State and start of a process, empty where the system does not say."""
  try:
    text = pathlib.Path(f"/proc/{pid}/stat").read_text()
  except OSError:
    return "", ""
  fields = text.rpartition(")")[2].split()  # before it is a name, which may hold anything
  return fields[0], fields[19]
