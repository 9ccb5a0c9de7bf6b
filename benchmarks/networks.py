"""This project beside PyTorch, network by network: `config -> seconds, memory, compilation`.

Every contender is a process of its own (`worker`). Before the clock runs they have to agree: about
the outputs, or about the losses of the first steps.
"""

from collections.abc import Mapping, Sequence
import contextlib
import dataclasses
import json
import pathlib
import shutil
import statistics
import tempfile
from typing import Any

from ml_collections import ConfigDict
import numpy as np

from benchmarks import worker
from benchmarks.worker import Worker, WorkerFailed

JAX = "hrnet_jax"
TOLERANCE = 1e-4  # relative, of outputs and of the first loss
LATER_TOLERANCE = 1e-3  # of the losses after updates
STEPS = 3  # whose losses are compared
_ROUND_SECONDS = 1.0  # how long a fast contender works in a round
_MOST_CALLS = 20


@dataclasses.dataclass(frozen=True)
class Entry:
  """One contender.

  Attributes:
    module: with its targets; the mode is the function's name.
    options: for the function.
    eager: whether PyTorch runs it as it is written.
    optional: whether the comparison may go on without it.
  """

  module: str
  options: Mapping[str, Any]
  eager: bool = False
  optional: bool = False


def _torch(layout: str, *, compiled: bool = False) -> Entry:
  options = {"layout": layout, "compiled": compiled}
  return Entry("benchmarks.torch_side", options, eager=not compiled, optional=compiled)


_TORCH = {
  "PyTorch, NCHW": _torch("nchw"),
  "PyTorch, channels last": _torch("channels_last"),
  "PyTorch, channels last, compiled": _torch("channels_last", compiled=True),
}
MODES: dict[str, dict[str, Entry]] = {
  "inference": {
    JAX: Entry("benchmarks.jax_side", {"folded": True}),
    f"{JAX}, norms not folded": Entry("benchmarks.jax_side", {"folded": False}),
    **_TORCH,
  },
  "training": {JAX: Entry("benchmarks.jax_side", {}), **_TORCH},
}


def compare(
  name: str,
  config: ConfigDict,
  mode: str,
  *,
  rounds: int,
  threads: int,
  compiled: bool = True,
  limit: float = 1800,
) -> dict[str, Any]:
  """Measures all contenders of a mode at one network.

  Args:
    name: of the network, for the result.
    config: of a case, see `cases.CASES`.
    mode: a key of `MODES`.
    rounds: how often each contender is measured.
    threads: of each contender.
    compiled: whether `torch.compile` takes part.
    limit: seconds that it may take to compile.

  Returns:
    Figures of every contender; our time as a multiple of the best eager variant's and of the
    best's; who was left out, and why.

  Raises:
    ValueError: the contenders do not compute the same. RuntimeError: a contender failed.
  """
  entries = {key: e for key, e in MODES[mode].items() if compiled or not e.optional}
  left_out = {} if compiled else {key: "not asked for" for key in MODES[mode].keys() - entries}
  with tempfile.TemporaryDirectory(prefix="hrnet_jax_benchmark_") as folder:
    comparison = _Comparison(config, mode, folder, threads)
    with contextlib.ExitStack() as stack:
      for contender, entry in entries.items():
        if reason := comparison.add(contender, entry, limit, stack):
          left_out[contender] = reason
      agreement = comparison.agreement()
      seconds = comparison.measure(rounds)
      figures = comparison.figures(seconds, agreement)
    for contender in figures:
      figures[contender]["second_start"] = comparison.restart(contender, entries[contender])
  eager = [key for key in figures if entries[key].eager]
  others = [key for key in figures if not key.startswith(JAX)]
  result = {"model": name, "case": comparison.case, "mode": mode, "contenders": figures}
  for key, group in (("best_eager", eager), ("best", others)):
    best = min(group, key=lambda x: figures[x]["seconds"]["median"])
    result[key] = {"contender": best, **_multiple(seconds[JAX], seconds[best])}
  return result | {"left_out": left_out}


class _Comparison:
  """The contenders of one comparison, which have written their answers and wait.

  Attributes:
    case: what is compared, for people.
  """

  def __init__(self, config: ConfigDict, mode: str, folder: str, threads: int):
    """Writes the inputs and weights of all."""
    self._config, self._mode = json.loads(config.to_json()), mode
    self._folder, self._threads = folder, threads
    self._workers: dict[str, Worker] = {}
    self._largest = 0.0  # MiB of a contender
    given = {"config": self._config, "folder": folder}
    written = worker.facts_of("benchmarks.torch_side:write_case", given, threads=threads)
    self.case = f"{config.model.task} {'x'.join(map(str, written['image'][:3]))}"

  def add(self, name: str, entry: Entry, limit: float, stack: contextlib.ExitStack) -> str | None:
    """Starts a contender, which the stack ends; returns why it was left out, if it was.

    Raises:
      RuntimeError: one that the comparison needs did not start.
    """
    why = None
    if entry.optional:
      why = _no_compiler() or self._no_room()
    if why is None:
      try:
        started = self._start(name, entry, limit if entry.optional else None)
        self._workers[name] = stack.enter_context(started)
        self._largest = max(self._largest, started.peak_mib())
      except WorkerFailed as error:
        why = str(error)
    if why and not entry.optional:
      raise RuntimeError(f"{name} at {self._mode} of {self.case}: {why}")
    return why

  def agreement(self) -> dict[str, float]:
    """How far each contender is from ours, relative.

    Raises:
      ValueError: too far.
    """
    facts = {name: x.facts for name, x in self._workers.items()}
    if self._mode == "training":
      return {name: same_losses(name, x, facts[JAX]) for name, x in facts.items()}
    outputs = {name: np.load(self._answer(name)) for name in self._workers}
    return {name: same_outputs(name, x, outputs[JAX]) for name, x in outputs.items()}

  def measure(self, rounds: int) -> dict[str, list[float]]:
    """Seconds of one call, by contender and round."""
    trial = [x.run() for x in self._workers.values()]
    calls = max(1, min(_MOST_CALLS, round(_ROUND_SECONDS / statistics.median(trial))))
    runs = {name: lambda x=x: x.run(calls) for name, x in self._workers.items()}
    return worker.run_rounds(runs, rounds)

  def figures(
    self, seconds: Mapping[str, Sequence[float]], agreement: Mapping[str, float]
  ) -> dict[str, dict[str, Any]]:
    """The reported values of each contender."""
    return {
      name: {
        "seconds": _spread(seconds[name]),
        "each": [round(s, 5) for s in seconds[name]],
        "first_start": _start_figures(x),
        "difference": agreement[name],
      }
      for name, x in self._workers.items()
    }

  def restart(self, name: str, entry: Entry) -> dict[str, float]:
    """Figures of another process, for which the programs were compiled before."""
    with self._start(name, entry, None) as x:
      x.run()
      return _start_figures(x)

  def _start(self, name: str, entry: Entry, limit: float | None) -> Worker:
    given = {"config": self._config, "folder": self._folder, **entry.options}
    given |= {"steps": STEPS} if self._mode == "training" else {"answer": self._answer(name)}
    # A cache for each, so that nobody profits from what was compiled before, except by itself.
    cache = f"{self._folder}/compiled {name}"
    env = {
      "JAX_COMPILATION_CACHE_DIR": cache,
      "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
      "TORCHINDUCTOR_CACHE_DIR": cache,
    }
    target = f"{entry.module}:{self._mode}"
    return Worker(target, given, threads=self._threads, env=env, limit=limit)

  def _answer(self, name: str) -> str:
    return str(pathlib.Path(self._folder) / f"{name}.npy")

  def _no_room(self) -> str | None:
    free = _available_mib()
    if free is None or free > 1.2 * self._largest:
      return None
    return f"{free} MiB of memory are left, and the others take up to {self._largest:.0f}"


def same_outputs(name: str, outputs: np.ndarray, expected: np.ndarray) -> float:
  """Largest difference, as a share of the outputs' standard deviation.

  Raises:
    ValueError: it is more than `TOLERANCE`.
  """
  difference = float(np.abs(outputs - expected).max() / expected.std())
  return _checked(name, "outputs", difference, TOLERANCE)


def same_losses(name: str, facts: Mapping[str, Any], expected: Mapping[str, Any]) -> float:
  """Relative difference of the first losses; later ones show whether the updates are the same.

  Raises:
    ValueError: it is more than `TOLERANCE`, or `LATER_TOLERANCE`.
  """
  first, *later = (
    abs(a - b) / abs(b) for a, b in zip(facts["losses"], expected["losses"], strict=True)
  )
  _checked(name, "losses after updates", max(later), LATER_TOLERANCE)
  return _checked(name, "first losses", first, TOLERANCE)


def _checked(name: str, what: str, difference: float, tolerance: float) -> float:
  if not difference <= tolerance:  # a difference that is not a number fails too
    raise ValueError(
      f"{name} and {JAX} do not compute the same: their {what} differ by {difference:.2g}, more "
      f"than {tolerance:g}"
    )
  return difference


def _start_figures(started: Worker) -> dict[str, float]:
  keys = ("first_call_seconds", "programs_compiled")  # PyTorch does not tell the second
  facts = {key: round(started.facts[key], 2) for key in keys if key in started.facts}
  return {**facts, "peak_mib": round(started.peak_mib())}


def _no_compiler() -> str | None:
  compilers = ("g++", "clang++", "c++")
  return None if any(map(shutil.which, compilers)) else "torch.compile needs a C++ compiler"


def _available_mib() -> int | None:
  """Memory that processes may still take without making others swap; None where nobody says."""
  info = pathlib.Path("/proc/meminfo")
  lines = info.read_text().splitlines() if info.exists() else []
  found = [int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")]
  return found[0] // 1024 if found else None


def _spread(seconds: Sequence[float]) -> dict[str, float]:
  return {"median": statistics.median(seconds), "low": min(seconds), "high": max(seconds)}


def _multiple(seconds: Sequence[float], others: Sequence[float]) -> dict[str, float]:
  """One median by the other, and the range of the rounds' ratios."""
  rounds = worker.speedup(others, seconds)
  medians = statistics.median(seconds) / statistics.median(others)
  return {"multiple": medians, "low": rounds.low, "high": rounds.high}
