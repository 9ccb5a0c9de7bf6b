"""Measures where the time of a step goes, here and in PyTorch, by kind of operation: -> a table.

    python -m tools.profile_step --models=w18_small_v1,w18_face68 --modes=training

Both sides are processes of their own, and each runs one step a round under its profiler, XLA's
trace or `torch.profiler`. The fastest step of each counts, since whatever else the machine does
makes others slower. The networks are those of `make benchmark`. Needs the extra `torch`.
"""

import argparse
from collections.abc import Iterator, Sequence
import contextlib
import json
import pathlib
import re
import tempfile
import time
from typing import Any

from ml_collections import ConfigDict

from benchmarks import cases, networks, worker
from benchmarks.worker import Contender, Worker
from hrnet_jax import markdown
from hrnet_jax.cli import arguments
from tools import op_kinds

JAX, TORCH = networks.JAX, "PyTorch, channels last"
# The first rule that fits an operation of PyTorch or one that called it, from the inside out.
RULES = {
  op_kinds.FORWARD: r"aten::(mkldnn_convolution|_slow_conv2d_forward)$",
  op_kinds.BACKWARD: r"aten::convolution_backward$",
  op_kinds.COPIES: r"aten::_?convolution$",
  op_kinds.NORM: r"aten::(native_batch_norm|_?batch_norm|relu|threshold|clamp_min|add_?$)",
  op_kinds.RESIZE: r"aten::(upsample|_upsample|cat$|narrow)|.*Upsample|.*(CatBackward)",
  op_kinds.LOSS: r"aten::(_?log_softmax|nll_loss|mse_loss|cross_entropy)|.*(LogSoftmax|Nll|Mse)",
}
_OPTIMIZER = re.compile(r"Optimizer\.")


def main(argv: Sequence[str] | None = None) -> None:
  """Runs the command with its arguments, by default those of this process."""
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  add, names = parser.add_argument, arguments.comma_separated
  add("--models", type=names, default="w18_small_v1", help=f"any of {', '.join(cases.CASES)}")
  add("--modes", type=names, default="inference,training", help="(default %(default)s)")
  add("--rounds", type=arguments.positive, default=6, help="steps of each side")
  add("--threads", type=arguments.positive, default=2, help="of each side")
  args = parser.parse_args(argv)
  for flag, known in (("models", cases.CASES), ("modes", networks.MODES)):
    if unknown := sorted(set(getattr(args, flag)) - set(known)):
      parser.error(f"--{flag} has {unknown[0]!r}; known: {', '.join(known)}")
  rows: list[Sequence[str]] = []
  for name, mode in ((name, mode) for name in args.models for mode in args.modes):
    config = cases.CASES[name].config()
    found = profile(config, mode, rounds=args.rounds, threads=args.threads)
    rows += [(f"{name}, {mode}", *cells) for cells in compare(found)]
  header = ("step", "kind", "JAX, ms", "PyTorch, ms", "difference")
  print(markdown.table(header, rows))


def profile(
  config: ConfigDict, mode: str, *, rounds: int, threads: int
) -> dict[str, dict[str, float]]:
  """Seconds by side and kind of operation, in the fastest step of each.

  Args:
    config: of a case, see `cases.CASES`.
    mode: `inference` or `training`.
    rounds: steps of each side.
    threads: of each side.

  Raises:
    WorkerFailed: a side failed.
  """
  module = __spec__.name
  with (
    tempfile.TemporaryDirectory(prefix="hrnet_jax_profile_") as folder,
    contextlib.ExitStack() as stack,
  ):
    given = {"config": json.loads(config.to_json()), "folder": folder}
    worker.facts_of("benchmarks.torch_side:write_case", given, threads=threads)
    workers = {}
    for side, function in ((JAX, "profile_jax"), (TORCH, "profile_torch")):
      options = {**networks.MODES[mode][side].options, "mode": mode}
      options |= {"steps": 1} if mode == "training" else {"answer": f"{folder}/{side}.npy"}
      options["result"] = f"{folder}/{side}.json"
      started = Worker(f"{module}:{function}", {**given, **options}, threads=threads)
      workers[side] = stack.enter_context(started)
    worker.run_rounds({side: x.run for side, x in workers.items()}, rounds)
    return {side: json.loads(pathlib.Path(folder, f"{side}.json").read_text()) for side in workers}


def compare(found: dict[str, dict[str, float]]) -> list[tuple[str, ...]]:
  """Cells of every kind that takes time: largest difference first, and the sum."""
  pairs = [(kind, found[JAX][kind], found[TORCH][kind]) for kind in op_kinds.OP_KINDS]
  pairs.sort(key=lambda x: x[2] - x[1])
  pairs.append(("all", sum(found[JAX].values()), sum(found[TORCH].values())))
  shown = (x for x in pairs if max(x[1:]) >= 5e-5)
  return [(k, f"{1e3 * a:.1f}", f"{1e3 * b:.1f}", f"{1e3 * (a - b):+.1f}") for k, a, b in shown]


def profile_jax(mode: str, result: str, **options: Any) -> Contender:
  """A contender that profiles single steps of ours; the fastest one's profile is kept.

  Args:
    mode: name of a target of `jax_side`.
    result: file for the seconds by kind.
    **options: of the target.
  """
  import jax
  from jax.profiler import ProfileData, ProfileOptions

  from benchmarks import jax_side

  contender = getattr(jax_side, mode)(**options)
  executables = jax.devices()[0].client.live_executables()
  largest = max(executables, key=lambda x: x.get_compiled_memory_stats().temp_size_in_bytes)
  program = op_kinds.StepProgram(largest.hlo_modules()[0].to_string())
  tracing = ProfileOptions()
  tracing.python_tracer_level = 0

  def measure() -> tuple[float, list[tuple[str, float]]]:
    with tempfile.TemporaryDirectory(prefix="hrnet_jax_trace_") as folder:
      with jax.profiler.trace(folder, profiler_options=tracing):
        start = time.perf_counter()
        contender.run(1)
        seconds = time.perf_counter() - start
      (path,) = pathlib.Path(folder).rglob("*.xplane.pb")
      trace = ProfileData.from_file(str(path))
    found = op_kinds.shares(op_kinds.read_intervals(trace, program.has_product))
    return seconds, [(program.kind(name), share) for name, share in found]

  return _fastest(contender, measure, result)


def profile_torch(mode: str, result: str, **options: Any) -> Contender:
  """A contender that profiles single steps of PyTorch; arguments as `profile_jax`."""
  from torch.profiler import ProfilerActivity
  from torch.profiler import profile as torch_profile

  from benchmarks import torch_side

  contender = getattr(torch_side, mode)(**options)

  def measure() -> tuple[float, list[tuple[str, float]]]:
    with torch_profile(activities=[ProfilerActivity.CPU]) as trace:
      start = time.perf_counter()
      contender.run(1)
      seconds = time.perf_counter() - start
    return seconds, list(read_events(trace.events()))

  return _fastest(contender, measure, result)


def read_events(events: Sequence[Any]) -> Iterator[tuple[str, float]]:
  """Kind and seconds of every operation of PyTorch's profile.

  The time that an operation spends outside of those that it calls counts. They run one after the
  other, so the times add up to that by the clock.
  """
  for event in events:
    if event.name.startswith(("aten::", "Optimizer.")):
      yield kind_of([x.name for x in _callers(event)]), event.self_cpu_time_total / 1e6


def kind_of(chain: Sequence[str]) -> str:
  """The kind of an operation of PyTorch.

  Args:
    chain: its name and those of its callers, from the inside out.
  """
  if any(map(_OPTIMIZER.match, chain)):
    return op_kinds.OPTIMIZER
  for depth, name in enumerate(chain):
    found = next((kind for kind, rule in RULES.items() if re.match(rule, name)), None)
    if found in (op_kinds.FORWARD, op_kinds.BACKWARD) and depth:
      return op_kinds.COPIES  # called by a convolution to prepare its arrays
    if found:
      return found
  return op_kinds.OTHER


def _fastest(contender: Contender, measure: Any, result: str) -> Contender:
  """A contender that writes the profile of its fastest step so far."""
  best = [float("inf")]

  def run(calls: int) -> float:
    for _ in range(calls):
      contender.run(1)  # after a break the caches hold what others put there
      seconds, parts = measure()
      if seconds < best[0]:
        best[0] = seconds
        pathlib.Path(result).write_text(json.dumps(op_kinds.by_kind(seconds, parts)))
    return seconds

  return Contender(contender.facts, run, contender.foreign_mib)


def _callers(event: Any) -> Iterator[Any]:
  while event is not None:
    yield event
    event = event.cpu_parent


if __name__ == "__main__":
  main()
