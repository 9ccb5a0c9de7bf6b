"""This project beside PyTorch, network by network: `case -> seconds, memory, compilation`.

Every rival is a process of its own (`apart`). Before the clock runs they have to agree: about the
outputs, or about the losses of the first steps.
"""

from collections.abc import Iterable, Mapping, Sequence
import contextlib
import dataclasses
import pathlib
import shutil
import statistics
import sys
import tempfile
from typing import Any

from absl import flags
import numpy as np

from benchmarks import apart, cases, harness

OURS = "hrnet_jax"
TOLERANCE = 1e-4  # relative, of outputs and of the first loss
LATER_TOLERANCE = 1e-3  # of the losses after updates
STEPS = 3  # whose losses are compared
_TURN_SECONDS = 1.0  # how long the turn of a fast rival lasts
_MOST_CALLS = 20


@dataclasses.dataclass(frozen=True)
class Entry:
  """One rival.

  Attributes:
    target: in its process; the mode is the function's name.
    options: for it.
    eager: whether PyTorch runs it as it is written.
    optional: whether the comparison may go on without it.
  """

  target: str
  options: Mapping[str, Any]
  eager: bool = False
  optional: bool = False


def _torch(layout: str, *, compiled: bool = False) -> Entry:
  options = {"layout": layout, "compiled": compiled}
  return Entry("benchmarks.theirs", options, eager=not compiled, optional=compiled)


_THEIRS = {
  "PyTorch, NCHW": _torch("nchw"),
  "PyTorch, channels last": _torch("channels_last"),
  "PyTorch, channels last, compiled": _torch("channels_last", compiled=True),
}
MODES: dict[str, dict[str, Entry]] = {
  "inference": {
    OURS: Entry("benchmarks.ours", {"folded": True}),
    f"{OURS}, norms not folded": Entry("benchmarks.ours", {"folded": False}),
    **_THEIRS,
  },
  "training": {OURS: Entry("benchmarks.ours", {}), **_THEIRS},
}


def compare(
  name: str,
  case: cases.Case,
  mode: str,
  *,
  rounds: int,
  threads: int,
  compiled: bool = True,
  limit: float = 1800,
) -> dict[str, Any]:
  """Lets all rivals of a mode take turns at one network.

  Args:
    name: of the network, for the result.
    case: see `cases.CASES`.
    mode: a key of `MODES`.
    rounds: turns of each rival.
    threads: of each rival.
    compiled: whether `torch.compile` takes part.
    limit: seconds that it may take to compile.

  Returns:
    Figures of every rival; our time as a multiple of the best eager variant's and of the best's;
    who was left out, and why.

  Raises:
    ValueError: the rivals do not compute the same. RuntimeError: a rival failed.
  """
  entries = {key: e for key, e in MODES[mode].items() if compiled or not e.optional}
  left_out = {} if compiled else {key: "not asked for" for key in MODES[mode].keys() - entries}
  with tempfile.TemporaryDirectory(prefix="hrnet_jax_benchmark_") as folder:
    apart.run("benchmarks.cases:write", {"case": case.plain(), "folder": folder}, threads=threads)
    with contextlib.ExitStack() as stack:
      field = _Field(case, mode, folder, threads, stack)
      for rival, entry in entries.items():
        if reason := field.enter(rival, entry, limit):
          left_out[rival] = reason
      agreement = field.agreement()
      seconds = field.race(rounds)
      figures = field.figures(seconds, agreement)
    for rival in figures:
      figures[rival]["second_start"] = field.start_again(rival, entries[rival])
  eager = [key for key in figures if entries[key].eager]
  theirs = [key for key in figures if not key.startswith(OURS)]
  result = {"model": name, "case": str(case), "mode": mode, "rivals": figures}
  for key, group in (("best_eager", eager), ("best", theirs)):
    best = min(group, key=lambda x: figures[x]["seconds"]["median"])
    result[key] = {"rival": best, **_multiple(seconds[OURS], seconds[best])}
  return result | {"left_out": left_out}


def define_flags(models: Sequence[str]) -> None:
  """Defines the flags of all commands that run networks; by default these `models`."""
  flags.DEFINE_list("models", list(models), f"Of {', '.join(cases.CASES)}.")
  flags.DEFINE_list("modes", list(MODES), f"Of {', '.join(MODES)}.")
  flags.DEFINE_integer("rounds", 7, "Turns of each rival.", lower_bound=1)
  flags.DEFINE_integer("threads", 2, "Of each rival.", lower_bound=1)
  flags.DEFINE_bool("quick", False, "Small inputs, and little of them: shows that everything runs.")


def refuse_unknown(known: Mapping[str, Iterable[str]]) -> None:
  """Ends the program where the list of a flag has a name that there is not.

  Args:
    known: the names by flag.
  """
  for flag, names in known.items():
    if unknown := sorted(set(flags.FLAGS[flag].value) - set(names)):
      sys.exit(f"error: --{flag} has {unknown[0]!r}; known: {', '.join(names)}")


def arguments(entry: Entry, case: cases.Case, mode: str, folder: str, name: str) -> dict[str, Any]:
  """What the function of a rival is called with, `name` being the rival's."""
  own = {"steps": STEPS} if mode == "training" else {"answer": _answer(folder, name)}
  return {"case": case.plain(), "folder": folder, **entry.options, **own}


def environment(folder: str, name: str) -> dict[str, str]:
  """Of a rival's process: nobody profits from what was compiled before, except by itself."""
  cache = f"{folder}/compiled {name}"
  return {
    "JAX_COMPILATION_CACHE_DIR": cache,
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    "TORCHINDUCTOR_CACHE_DIR": cache,
  }


def _answer(folder: str, name: str) -> str:
  return str(pathlib.Path(folder) / f"{name}.npy")


class _Field:
  """The rivals that have entered."""

  def __init__(
    self, case: cases.Case, mode: str, folder: str, threads: int, stack: contextlib.ExitStack
  ):
    self._case, self._mode, self._folder, self._threads = case, mode, folder, threads
    self._stack, self._rivals, self._largest = stack, {}, 0.0

  def enter(self, name: str, entry: Entry, limit: float) -> str | None:
    """Starts a rival; returns why it was left out, if it was.

    Raises:
      RuntimeError: one that the comparison needs did not start.
    """
    why = None
    if entry.optional:
      why = _no_compiler() or self._no_room()
    if why is None:
      try:
        started = self._start(name, entry, limit if entry.optional else None)
        rival = self._stack.enter_context(started)
        self._rivals[name] = rival
        self._largest = max(self._largest, rival.peak_mib())
      except apart.Failed as error:
        why = str(error)
    if why and not entry.optional:
      raise RuntimeError(f"{name} at {self._mode} of {self._case}: {why}")
    return why

  def agreement(self) -> dict[str, float]:
    """How far each rival is from ours, relative.

    Raises:
      ValueError: too far.
    """
    facts = {name: rival.facts for name, rival in self._rivals.items()}
    if self._mode == "training":
      return {name: same_losses(name, x, facts[OURS]) for name, x in facts.items()}
    outputs = {name: np.load(_answer(self._folder, name)) for name in self._rivals}
    return {name: same_outputs(name, x, outputs[OURS]) for name, x in outputs.items()}

  def race(self, rounds: int) -> dict[str, list[float]]:
    """Seconds of one call, by rival and turn."""
    trial = {name: rival.turn() for name, rival in self._rivals.items()}
    calls = max(1, min(_MOST_CALLS, round(_TURN_SECONDS / statistics.median(trial.values()))))
    turns = {name: lambda r=rival: r.turn(calls) for name, rival in self._rivals.items()}
    return harness.take_turns(turns, rounds)

  def figures(
    self, seconds: Mapping[str, Sequence[float]], agreement: Mapping[str, float]
  ) -> dict[str, dict[str, Any]]:
    """What is reported of each rival."""
    return {
      name: {
        "seconds": _spread(seconds[name]),
        "each": [round(x, 5) for x in seconds[name]],
        "first_start": _start_figures(rival),
        "difference": agreement[name],
      }
      for name, rival in self._rivals.items()
    }

  def start_again(self, name: str, entry: Entry) -> dict[str, float]:
    """What another process costs, for which the programs were compiled before."""
    with self._start(name, entry, None) as rival:
      rival.turn()
      return _start_figures(rival)

  def _start(self, name: str, entry: Entry, limit: float | None) -> apart.Apart:
    target, env = f"{entry.target}:{self._mode}", environment(self._folder, name)
    given = arguments(entry, self._case, self._mode, self._folder, name)
    return apart.Apart(target, given, threads=self._threads, env=env, limit=limit)

  def _no_room(self) -> str | None:
    free = harness.available_memory()
    if free is None or free > 1.2 * self._largest:
      return None
    return f"{free} MiB of memory are left, and the others take up to {self._largest:.0f}"


def _start_figures(rival: apart.Apart) -> dict[str, float]:
  seconds = round(rival.facts["first_call_seconds"], 2)
  return {"first_call_seconds": seconds, "peak_mib": round(rival.peak_mib())}


def _no_compiler() -> str | None:
  compilers = ("g++", "clang++", "c++")
  return None if any(map(shutil.which, compilers)) else "torch.compile needs a C++ compiler"


def same_outputs(name: str, outputs: np.ndarray, ours: np.ndarray) -> float:
  """Largest difference, as a share of the outputs' standard deviation.

  Raises:
    ValueError: it is more than `TOLERANCE`.
  """
  difference = float(np.abs(outputs - ours).max() / ours.std())
  return _checked(name, "outputs", difference, TOLERANCE)


def same_losses(name: str, facts: Mapping[str, Any], ours: Mapping[str, Any]) -> float:
  """Relative difference of the first losses; later ones show whether the updates are the same.

  Raises:
    ValueError: it is more than `TOLERANCE`, or `LATER_TOLERANCE`.
  """
  first, *later = (
    abs(a - b) / abs(b) for a, b in zip(facts["losses"], ours["losses"], strict=True)
  )
  _checked(name, "losses after updates", max(later), LATER_TOLERANCE)
  return _checked(name, "first losses", first, TOLERANCE)


def _checked(name: str, what: str, difference: float, tolerance: float) -> float:
  if not difference <= tolerance:
    raise ValueError(
      f"{name} and {OURS} do not compute the same: their {what} differ by {difference:.2g}, more "
      f"than {tolerance:g}"
    )
  return difference


def _spread(seconds: Sequence[float]) -> dict[str, float]:
  return {"median": statistics.median(seconds), "low": min(seconds), "high": max(seconds)}


def _multiple(ours: Sequence[float], theirs: Sequence[float]) -> dict[str, float]:
  """Our median by theirs, and the range of the rounds' ratios."""
  rounds = harness.multiple(ours, theirs)
  medians = statistics.median(ours) / statistics.median(theirs)
  return {"multiple": medians, "low": rounds.low, "high": rounds.high}
