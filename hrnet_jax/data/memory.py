"""Memory of the host that a process may still take: `-> bytes`."""

import contextlib
import pathlib

UNKNOWN = 2**62  # bytes that are free where nobody says


def host_free_bytes(root: pathlib.Path = pathlib.Path("/")) -> int:
  """Memory that this process may still take: of the machine, its container and its own limit.

  Args:
    root: of the file system, under which Linux says it.
  """
  found = [UNKNOWN]
  with contextlib.suppress(OSError, KeyError, ValueError):
    found.append(_fields(root / "proc/meminfo")["MemAvailable:"] * 2**10)
  with contextlib.suppress(OSError, KeyError, ValueError):
    group = root / "sys/fs/cgroup"
    limit, used = (int((group / f"memory.{x}").read_text()) for x in ("max", "current"))
    found.append(limit - used + _fields(group / "memory.stat")["inactive_file"])
  with contextlib.suppress(OSError, KeyError, ValueError, ImportError):
    import resource

    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if limit != resource.RLIM_INFINITY:
      found.append(limit - _fields(root / "proc/self/status")["VmSize:"] * 2**10)
  return max(min(found), 1)


def _fields(path: pathlib.Path) -> dict[str, int]:
  """Lines of a name and a number; others are passed over."""
  lines = [line.split() for line in path.read_text().splitlines()]
  return {line[0]: int(line[1]) for line in lines if len(line) > 1 and line[1].isdecimal()}
