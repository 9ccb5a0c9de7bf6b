"""Timing of rivals on one machine in turns: `{name: function} -> {name: seconds of each turn}`.

A machine's speed drifts with its load and its temperature. Taking turns gives every rival the same
share of that, so ratios are meaningful where absolute figures are not.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
import dataclasses
import json
import os
import pathlib
import platform
import statistics
import time
from typing import Any


@dataclasses.dataclass(frozen=True)
class Rate:
  """How fast one rival was.

  Attributes:
    median: units a second, over the turns.
    low: in the slowest turn.
    high: in the fastest.
  """

  median: float
  low: float
  high: float

  def __str__(self) -> str:
    return f"{self.median:.3f} ({self.low:.3f} to {self.high:.3f})"


def use_cores(count: int) -> None:
  """Restricts this process to `count` cores; call it before JAX makes its threads.

  Raises:
    ValueError: there are not that many.
  """
  cores = sorted(os.sched_getaffinity(0))
  if not 0 < count <= len(cores):
    raise ValueError(f"{count} threads were asked for; this process may use {len(cores)} cores")
  os.sched_setaffinity(0, cores[:count])


def take_turns(
  rivals: Mapping[str, Callable[[], Any]], rounds: int, *, pause: float = 0.0
) -> dict[str, list[float]]:
  """Runs every rival once a round; who begins moves on, so that nobody always follows the same.

  Args:
    rivals: functions that return when their work is done. A float that one returns is its time, for
      work that it timed itself.
    rounds: how many.
    pause: seconds before every turn, in which the threads of the one before come to rest.

  Returns:
    Seconds of each turn by name.
  """
  names, seconds = list(rivals), {name: [] for name in rivals}
  for turn in range(rounds):
    first = turn % len(names)
    for name in names[first:] + names[:first]:
      time.sleep(pause)
      start = time.perf_counter()
      own = rivals[name]()
      elapsed = time.perf_counter() - start
      seconds[name].append(own if isinstance(own, float) else elapsed)
  return seconds


def rate(seconds: Sequence[float], units: int) -> Rate:
  """Units a second of turns that did `units` each."""
  return Rate(units / statistics.median(seconds), units / max(seconds), units / min(seconds))


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> Rate:
  """How many times faster we are, round by round; above 1 is faster."""
  each = [b / a for a, b in zip(ours, theirs, strict=True)]
  return Rate(statistics.median(each), min(each), max(each))


def multiple(ours: Sequence[float], theirs: Sequence[float]) -> Rate:
  """Our time as a multiple of theirs, round by round; below 1 is faster."""
  return ratio(theirs, ours)


def available_memory() -> int | None:
  """MiB that processes may still take without making others swap; None where nobody says."""
  info = pathlib.Path("/proc/meminfo")
  lines = info.read_text().splitlines() if info.exists() else []
  found = [int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")]
  return found[0] // 1024 if found else None


def machine(threads: int, versions: Mapping[str, str]) -> dict[str, Any]:
  """What the figures were measured on."""
  return {
    "processor": _processor(),
    "threads": threads,
    "load": round(os.getloadavg()[0], 2),
    "python": platform.python_version(),
    **versions,
  }


def table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
  """Text in columns, the first one to the left."""
  lines = [[str(cell) for cell in row] for row in (header, *rows)]
  widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
  text = []
  for first, *rest in lines:
    cells = [cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=True)]
    text.append("  ".join([first.ljust(widths[0]), *cells]).rstrip())
  return "\n".join(text)


def write(path: pathlib.Path, result: Mapping[str, Any]) -> None:
  """Stores a result as JSON."""
  path.parent.mkdir(parents=True, exist_ok=True)
  path.write_text(json.dumps(result, indent=2) + "\n")


def _processor() -> str:
  info = pathlib.Path("/proc/cpuinfo")
  lines = info.read_text().splitlines() if info.exists() else []
  names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
  return names[0] if names else platform.processor() or platform.machine()
