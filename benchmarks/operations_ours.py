"""This project's step by operation, from XLA's own trace: `case -> profile, memory` in a file.

XLA writes the beginning and the end of every instruction that it runs. Instructions may run side by
side: a moment in which several do is split evenly among them, so that the shares add up to the time
by the clock. Loops are not counted, what runs inside them is.
"""

from collections.abc import Callable, Iterable, Mapping
import functools
import pathlib
import tempfile
from typing import Any

import jax
from jax.profiler import ProfileData, ProfileOptions

from benchmarks import apart, hlo, kinds, ours

_IMPORTED = apart.resident_mib()
_COMPILED = "/jax/core/compile/backend_compile_duration"
_LOOPS = ("while", "call", "conditional")
MIB = 2**20


def run(
  mode: str, case: Mapping[str, Any], folder: str, result: str, **options: Any
) -> apart.Rival:
  """A rival whose turns profile single steps; the fastest one's profile is kept.

  Args:
    mode: `inference` or `training`.
    case, folder, options: of the target of `ours` with this name.
    result: file for the profile.

  Returns:
    Facts: what `memory` says.
  """
  memory = {"imports": _IMPORTED}
  jax.monitoring.register_event_duration_secs_listener(functools.partial(_note_peak, memory))
  rival = getattr(ours, mode)(case, folder, **options)
  largest = max(jax.devices()[0].client.live_executables(), key=_temporaries)
  sizes = largest.get_compiled_memory_stats()
  memory |= {"arguments": sizes.argument_size_in_bytes / MIB, "ready": apart.resident_mib()}
  memory["temporaries"] = _temporaries(largest) / MIB
  program: list[hlo.Program] = []

  def turn(calls: int) -> float:
    if not program:  # not before memory was measured, since it takes much
      program.append(hlo.Program(largest.hlo_modules()[0].to_string()))
    for _ in range(calls):
      rival.turn(1)  # after a break the caches hold what others put there
      clock, found = _traced(lambda: rival.turn(1), program[0].is_product)
      spent = (_spent(name, program[0].operation(name), share) for name, share in found)
      made = kinds.profile(clock.seconds, spent, cpu_seconds=clock.cpu_seconds)
      kinds.keep_fastest(pathlib.Path(result), made)
    return clock.seconds

  return apart.Rival({**rival.facts, "memory": memory}, turn)


def shares(intervals: Iterable[tuple[str, float, float]]) -> list[tuple[str, float]]:
  """Splits the time in which operations run among them.

  Args:
    intervals: name, beginning and end.

  Returns:
    Name and share of each, in the unit of the intervals; they add up to the time in which
    something ran.
  """
  intervals = list(intervals)
  found = [0.0] * len(intervals)
  marks = [(x[side], side, k) for k, x in enumerate(intervals) for side in (1, 2)]
  active: set[int] = set()
  last = 0.0
  for moment, side, k in sorted(marks):
    for other in active:
      found[other] += (moment - last) / len(active)
    last = moment
    (active.add if side == 1 else active.discard)(k)
  return [(name, share) for (name, _, _), share in zip(intervals, found, strict=True)]


def intervals(
  trace: ProfileData, handing_over: Callable[[str], bool]
) -> list[tuple[str, float, float]]:
  """Instruction, beginning and end in seconds of everything but loops that a trace shows.

  An instruction that hands work to other threads ends with an event of its own, which has its
  number. That is the end of convolutions and matrix products. Others hand over so little that until
  then they mostly wait for a thread, so they end with the call that they work in themselves.

  Args:
    trace: of a step.
    handing_over: whether an instruction, by its name, is one of the former.
  """
  began: dict[Any, tuple[str, float, float]] = {}
  ended: dict[Any, float] = {}
  for event in _events(trace):
    stats, start = dict(event.stats), event.start_ns / 1e9
    end = start + event.duration_ns / 1e9
    if "hlo_op" in stats:
      began[stats["_p"]] = (stats["hlo_op"], start, end)
    elif event.name.startswith("end: "):
      ended[stats["_c"]] = end
  return [
    (name, start, max(end, ended.get(key, end)) if handing_over(name) else end)
    for key, (name, start, end) in began.items()
    if not name.startswith(_LOOPS)
  ]


def _events(trace: ProfileData) -> Iterable[Any]:
  for plane in trace.planes:
    for line in plane.lines:
      if line.name.startswith("tf_XLA"):
        yield from line.events


def _traced(
  step: Callable[[], Any], handing_over: Callable[[str], bool]
) -> tuple[kinds.Clock, list[tuple[str, float]]]:
  options = ProfileOptions()
  options.python_tracer_level = 0
  with tempfile.TemporaryDirectory(prefix="hrnet_jax_trace_") as folder:
    with jax.profiler.trace(folder, profiler_options=options), kinds.Clock() as clock:
      step()
    (path,) = pathlib.Path(folder).rglob("*.xplane.pb")
    return clock, shares(intervals(ProfileData.from_file(str(path)), handing_over))


def _spent(name: str, operation: hlo.Operation, seconds: float) -> kinds.Spent:
  x = operation
  return kinds.Spent(seconds, x.kind, x.product, x.backward, x.name, name.rstrip(".0123456789"))


def _temporaries(executable: Any) -> int:
  return executable.get_compiled_memory_stats().temp_size_in_bytes


def _note_peak(memory: dict[str, float], event: str, seconds: float, **_: Any) -> None:
  """Keeps how much memory the longest compilation left, and had at most."""
  if event == _COMPILED and seconds > memory.get("compile_seconds", 0.0):
    memory |= {"compile_seconds": seconds, "compiled": apart.resident_mib()}
    memory["compile_peak"] = apart.peak_mib()
