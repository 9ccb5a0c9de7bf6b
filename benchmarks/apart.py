"""Rivals in processes of their own that wait for their turn: `target, arguments -> seconds`.

A rival's libraries, threads and memory are then its own: while one works, the others sleep on a
pipe, and what Linux counts as a process's peak memory is that of one rival. The parent sends
one JSON line for each request and gets one back.
"""

from collections.abc import Callable, Mapping
import contextlib
import dataclasses
import importlib
import json
import os
import pathlib
import select
import signal
import subprocess
import sys
import tempfile
import time
from typing import Any

from benchmarks import harness

ROOT = pathlib.Path(__file__).parents[1]
_LAST_LINES = 15  # of what a rival that failed has written


@dataclasses.dataclass(frozen=True)
class Rival:
  """What a target makes of its arguments, in the rival's process.

  Attributes:
    facts: plain values for the parent.
    turn: does the work this many times, and returns the seconds of one.
    foreign_mib: memory that the process holds without need, not to be counted.
  """

  facts: Mapping[str, Any]
  turn: Callable[[int], float]
  foreign_mib: float = 0.0


class Failed(RuntimeError):
  """A rival that stopped, or took too long."""


class Apart:
  """A rival in a process of its own; a context manager that ends it.

  Attributes:
    facts: what the target said of itself.
  """

  def __init__(
    self,
    target: str,
    arguments: Mapping[str, Any],
    *,
    threads: int,
    env: Mapping[str, str] | None = None,
    limit: float | None = None,
  ):
    """Starts the rival and waits until it is ready.

    Args:
      target: `module:function`, which takes the arguments and returns a `Rival`.
      arguments: plain values.
      threads: of every library.
      env: further variables.
      limit: seconds to get ready.

    Raises:
      Failed: it did not get ready; with the end of what it wrote.
    """
    self._said = tempfile.TemporaryFile("w+")  # noqa: SIM115 - as long as the process
    self._process = subprocess.Popen(
      [sys.executable, "-m", "benchmarks.apart"],
      cwd=ROOT,
      env={**os.environ, "JAX_PLATFORMS": "cpu", "OMP_NUM_THREADS": str(threads), **(env or {})},
      stdin=subprocess.PIPE,
      stdout=subprocess.PIPE,
      stderr=self._said,
      text=True,
      start_new_session=True,  # a compiler's helpers end with it
    )
    self._name = target
    try:
      request = {"target": target, "arguments": dict(arguments), "threads": threads}
      self.facts = self._ask(request, limit)
    except BaseException:
      self.close()
      raise

  def __enter__(self) -> "Apart":
    return self

  def __exit__(self, *error: object) -> None:
    self.close()

  def turn(self, calls: int = 1) -> float:
    """Does the work so many times; returns the seconds of one."""
    return float(self._ask({"calls": calls})["seconds"])

  def peak_mib(self) -> float:
    """The most memory that the process has held since its start, what is foreign left out."""
    return float(self._ask({"memory": True})["peak_mib"])

  def close(self) -> None:
    """Ends the process and those that it started. May be called twice."""
    with contextlib.suppress(ProcessLookupError):
      os.killpg(self._process.pid, signal.SIGKILL)
    self._process.wait()
    for stream in (self._process.stdin, self._process.stdout, self._said):
      with contextlib.suppress(BrokenPipeError):
        stream.close()

  def _ask(self, request: Mapping[str, Any], limit: float | None = None) -> dict[str, Any]:
    with contextlib.suppress(BrokenPipeError):
      self._process.stdin.write(json.dumps(request) + "\n")
      self._process.stdin.flush()
    if not select.select([self._process.stdout], [], [], limit)[0]:
      raise Failed(f"{self._name} was not ready after {limit:.0f} s")
    line = self._process.stdout.readline()
    if not line:
      self._said.seek(0)
      last = "".join(self._said.readlines()[-_LAST_LINES:])
      status = self._process.wait()
      killed = ", killed, perhaps for lack of memory" if status == -signal.SIGKILL else ""
      raise Failed(f"{self._name} ended with status {status}{killed}\n{last}".rstrip())
    return json.loads(line)


def run(target: str, arguments: Mapping[str, Any], *, threads: int, **options: Any) -> Any:
  """What a target says of itself; for work that is done once."""
  with Apart(target, arguments, threads=threads, **options) as process:
    return process.facts


def timed(work: Callable[[], Any]) -> Callable[[int], float]:
  """A rival's `turn` that repeats some work.

  The first of several calls is left out: after a break the caches hold what others put there.
  """

  def turn(calls: int) -> float:
    if calls > 1:
      work()
    start = time.perf_counter()
    for _ in range(calls):
      work()
    return (time.perf_counter() - start) / calls

  return turn


def resident_mib() -> float:
  """Memory that this process holds now, as Linux counts it."""
  return _status("VmRSS")


def peak_mib() -> float:
  """The most memory that this process has held, as Linux counts it.

  Not `ru_maxrss`, in which a process inherits its parent's memory.
  """
  return _status("VmHWM")


def _serve() -> None:
  """The rival's side: answers requests until the parent is gone."""
  answers = os.fdopen(os.dup(1), "w")
  os.dup2(2, 1)  # what libraries print is no answer
  request = json.loads(sys.stdin.readline())
  harness.use_cores(request["threads"])
  module, function = request["target"].split(":")
  rival = getattr(importlib.import_module(module), function)(**request["arguments"])

  def answer(value: Mapping[str, Any]) -> None:
    answers.write(json.dumps(value) + "\n")
    answers.flush()

  answer(dict(rival.facts))
  for line in sys.stdin:
    request = json.loads(line)
    if "calls" in request:
      answer({"seconds": rival.turn(request["calls"])})
    else:
      answer({"peak_mib": peak_mib() - rival.foreign_mib})


def _status(key: str) -> float:
  """MiB of a line of this process's status; see proc_pid_status(5)."""
  lines = pathlib.Path("/proc/self/status").read_text().splitlines()
  (value,) = (line.split()[1] for line in lines if line.startswith(f"{key}:"))
  return int(value) / 1024


if __name__ == "__main__":
  _serve()
