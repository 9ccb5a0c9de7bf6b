"""Contenders in processes of their own, measured in rounds: `target, arguments -> seconds`.

A contender's libraries, threads and memory are its own: while one works, the others sleep on a
pipe, and what Linux counts as a process's peak memory belongs to one contender. The parent sends
one JSON line for each request and gets one back.

A machine's speed drifts with its load and its temperature. In every round each contender runs once,
so all get the same share of that, and ratios mean something where absolute figures do not.
"""

from collections.abc import Callable, Mapping, Sequence
import contextlib
import dataclasses
import importlib
import json
import os
import pathlib
import select
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from typing import Any

from hrnet_jax.cli import memory

ROOT = pathlib.Path(__file__).parents[1]
_LAST_LINES = 15  # shown of what a worker that failed has written


@dataclasses.dataclass(frozen=True)
class Contender:
  """The work that a target prepares in the worker's process.

  Attributes:
    facts: plain values for the parent.
    run: does the work this many times, and returns the seconds of one.
    foreign_mib: memory that the process holds without need, not to be counted.
  """

  facts: Mapping[str, Any]
  run: Callable[[int], float]
  foreign_mib: float = 0.0


@dataclasses.dataclass(frozen=True)
class Rate:
  """A figure of one contender over all rounds.

  Attributes:
    median: over the rounds.
    low: the smallest.
    high: the largest.
  """

  median: float
  low: float
  high: float


class WorkerFailed(RuntimeError):
  """A worker stopped, or took too long."""


class Worker:
  """A process with one contender; a context manager that ends it.

  Attributes:
    facts: what the contender says about itself.
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
    """Starts the process and waits until its contender is ready.

    Args:
      target: `module:function`, which takes the arguments and returns a `Contender`.
      arguments: plain values.
      threads: of every library.
      env: further variables.
      limit: seconds to get ready.

    Raises:
      WorkerFailed: it did not get ready; with the end of what it wrote.
    """
    # This project's commands start themselves like that.
    pages = memory.huge_pages() if target.startswith("benchmarks.jax_side:") else {}
    self._written = tempfile.TemporaryFile("w+")  # noqa: SIM115 - as long as the process
    self._process = subprocess.Popen(
      [sys.executable, "-m", "benchmarks.worker"],
      cwd=ROOT,
      env={
        **os.environ,
        **pages,
        "JAX_PLATFORMS": "cpu",
        "OMP_NUM_THREADS": str(threads),
        **(env or {}),
      },
      stdin=subprocess.PIPE,
      stdout=subprocess.PIPE,
      stderr=self._written,
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

  def __enter__(self) -> "Worker":
    return self

  def __exit__(self, *error: object) -> None:
    self.close()

  def run(self, calls: int = 1) -> float:
    """Does the work so many times; returns the seconds of one."""
    return float(self._ask({"calls": calls})["seconds"])

  def peak_mib(self) -> float:
    """The most memory that the process has held since its start, without what is foreign."""
    return float(self._ask({"memory": True})["peak_mib"])

  def close(self) -> None:
    """Ends the process and those that it started. May be called twice."""
    with contextlib.suppress(ProcessLookupError):
      os.killpg(self._process.pid, signal.SIGKILL)
    self._process.wait()
    for stream in (self._process.stdin, self._process.stdout, self._written):
      with contextlib.suppress(BrokenPipeError):
        stream.close()

  def _ask(self, request: Mapping[str, Any], limit: float | None = None) -> dict[str, Any]:
    with contextlib.suppress(BrokenPipeError):
      self._process.stdin.write(json.dumps(request) + "\n")
      self._process.stdin.flush()
    if not select.select([self._process.stdout], [], [], limit)[0]:
      raise WorkerFailed(f"{self._name} was not ready after {limit:.0f} s")
    line = self._process.stdout.readline()
    if not line:
      self._written.seek(0)
      last = "".join(self._written.readlines()[-_LAST_LINES:])
      status = self._process.wait()
      killed = ", killed, perhaps for lack of memory" if status == -signal.SIGKILL else ""
      raise WorkerFailed(f"{self._name} ended with status {status}{killed}\n{last}".rstrip())
    return json.loads(line)


def facts_of(target: str, arguments: Mapping[str, Any], *, threads: int, **options: Any) -> Any:
  """Runs a target in a worker once and returns its contender's facts."""
  with Worker(target, arguments, threads=threads, **options) as worker:
    return worker.facts


def run_rounds(
  contenders: Mapping[str, Callable[[], Any]], rounds: int, *, pause: float = 0.0
) -> dict[str, list[float]]:
  """Runs every contender once a round; who begins moves on, so that nobody always follows the same.

  Args:
    contenders: functions that return when their work is done. A float that one returns is its time,
      for work that it timed itself.
    rounds: how many.
    pause: seconds before each, in which the threads of the one before come to rest.

  Returns:
    Seconds in each round by name.
  """
  names, seconds = list(contenders), {name: [] for name in contenders}
  for number in range(rounds):
    first = number % len(names)
    for name in names[first:] + names[:first]:
      time.sleep(pause)
      start = time.perf_counter()
      own = contenders[name]()
      elapsed = time.perf_counter() - start
      seconds[name].append(own if isinstance(own, float) else elapsed)
  return seconds


def rate(seconds: Sequence[float], units: int) -> Rate:
  """Units a second, for rounds that did `units` each."""
  return Rate(units / statistics.median(seconds), units / max(seconds), units / min(seconds))


def speedup(seconds: Sequence[float], others: Sequence[float]) -> Rate:
  """How many times faster one contender is than another, round by round; above 1 is faster."""
  each = [b / a for a, b in zip(seconds, others, strict=True)]
  return Rate(statistics.median(each), min(each), max(each))


def timed(work: Callable[[], Any]) -> Callable[[int], float]:
  """A contender's `run` that repeats some work.

  A call before them is left out: after a break the caches hold what others put there, and virtual
  machines have taken memory back.
  """

  def run(calls: int) -> float:
    work()
    start = time.perf_counter()
    for _ in range(calls):
      work()
    return (time.perf_counter() - start) / calls

  return run


def use_cores(count: int) -> None:
  """Restricts this process to `count` cores; call it before JAX makes its threads.

  Raises:
    ValueError: there are not that many.
  """
  cores = sorted(os.sched_getaffinity(0))
  if not 0 < count <= len(cores):
    raise ValueError(f"{count} threads were asked for; this process may use {len(cores)} cores")
  os.sched_setaffinity(0, cores[:count])


def resident_mib() -> float:
  """Memory that this process holds now, as Linux counts it."""
  return _status("VmRSS")


def peak_mib() -> float:
  """The most memory that this process has held, as Linux counts it.

  Not `ru_maxrss`, in which a process inherits its parent's memory.
  """
  return _status("VmHWM")


def _serve() -> None:
  """The worker's side: answers requests until the parent is gone."""
  answers = os.fdopen(os.dup(1), "w")
  os.dup2(2, 1)  # what libraries print is no answer
  request = json.loads(sys.stdin.readline())
  use_cores(request["threads"])
  module, function = request["target"].split(":")
  contender = getattr(importlib.import_module(module), function)(**request["arguments"])

  def answer(value: Mapping[str, Any]) -> None:
    answers.write(json.dumps(value) + "\n")
    answers.flush()

  answer(dict(contender.facts))
  for line in sys.stdin:
    request = json.loads(line)
    if "calls" in request:
      answer({"seconds": contender.run(request["calls"])})
    else:
      answer({"peak_mib": peak_mib() - contender.foreign_mib})


def _status(key: str) -> float:
  """MiB of a line of this process's status; see proc_pid_status(5)."""
  lines = pathlib.Path("/proc/self/status").read_text().splitlines()
  (value,) = (line.split()[1] for line in lines if line.startswith(f"{key}:"))
  return int(value) / 1024


if __name__ == "__main__":
  _serve()
