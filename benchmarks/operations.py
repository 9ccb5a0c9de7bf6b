"""What a step's time and memory go to, beside PyTorch: networks -> tables and JSON.

    .venv/torch/bin/python -m benchmarks.operations --models=w18_small_v1 --output=FILE \
      --page=docs/benchmark.md

Both sides are processes of their own that take turns, and every turn is one step under the
profiler of the side. The profile of the fastest step counts, since whatever else the machine does
makes others slower. `--page` names a text with the marks `<!-- operations: NAME -->` and
`<!-- end -->`, between which the tables are put.
"""

from collections.abc import Mapping, Sequence
import json
import pathlib
import sys
import tempfile
from typing import Any

from absl import app, flags

from benchmarks import apart, cases, harness, kinds, networks, report

OURS, THEIRS = networks.OURS, "PyTorch, channels last"
_MODULES = {OURS: "benchmarks.operations_ours", THEIRS: "benchmarks.operations_theirs"}
_MOST_PRODUCTS = 8
PROCESSORS = "processor time of all threads"


def define_flags() -> None:
  """Defines the command's flags."""
  networks.define_flags(["w18_small_v1", "w18_landmarks"])
  flags.DEFINE_string("output", None, "A JSON file. What it has of other cases stays.")
  flags.DEFINE_string("page", None, "Markdown file to fill; without it, tables are printed.")
  flags.DEFINE_bool("measure", True, "Whether to measure, or only to write the output's tables.")


def main(argv: Sequence[str]) -> None:
  """Runs the command."""
  f = flags.FLAGS
  if len(argv) > 1:
    sys.exit(f"error: unexpected arguments: {argv[1:]}")
  chosen = cases.QUICK if f.quick else cases.CASES
  networks.refuse_unknown({"models": chosen, "modes": networks.MODES})
  output = f.output and pathlib.Path(f.output)
  found = json.loads(output.read_text()) if output and output.exists() else {}
  try:
    for name, mode in ((n, m) for n in f.models for m in f.modes if f.measure):
      print(f"{mode} of {name} ...", file=sys.stderr, flush=True)
      found[f"{name}, {mode}"] = compare(chosen[name], mode, rounds=f.rounds, threads=f.threads)
      if output:
        harness.write(output, found)
    report.show(tables(found), f.page, mark="operations")
  except (ValueError, RuntimeError, OSError) as error:
    sys.exit(f"error: {error}")


def compare(case: cases.Case, mode: str, *, rounds: int, threads: int) -> dict[str, Any]:
  """Profiles both sides at one network.

  Args:
    case: see `cases.CASES`.
    mode: a key of `networks.MODES`.
    rounds: steps of each side.
    threads: of each side.

  Returns:
    `{side: {"seconds", "kinds", "products", "longest", "memory"}}`; see `kinds.profile`. Memory
    has what the side says of itself and its peaks: with the program compiled before, and
    compilation included.

  Raises:
    RuntimeError: a side failed.
  """
  with tempfile.TemporaryDirectory(prefix="hrnet_jax_operations_") as folder:
    apart.run("benchmarks.cases:write", {"case": case.plain(), "folder": folder}, threads=threads)

    def start(side: str) -> apart.Apart:
      given = networks.arguments(networks.MODES[mode][side], case, mode, folder, side)
      given |= {"mode": mode, "result": f"{folder}/{side}.json"}
      env = networks.environment(folder, side)
      return apart.Apart(f"{_MODULES[side]}:run", given, threads=threads, env=env)

    with start(OURS) as first:  # compiles, so that the next process finds the program
      compiled = first.facts["memory"] | {"peak": first.peak_mib()}
    with start(OURS) as ours, start(THEIRS) as theirs:
      sides = {OURS: ours, THEIRS: theirs}
      peaks = {side: rival.peak_mib() for side, rival in sides.items()}  # before any trace
      harness.take_turns({side: rival.turn for side, rival in sides.items()}, rounds)
      result = {side: json.loads(_read(folder, side)) for side in sides}
      for side, rival in sides.items():
        result[side]["memory"] = rival.facts["memory"] | {"peak": peaks[side]}
    result[OURS]["memory"]["compiling"] = compiled
  return result


def tables(found: Mapping[str, Any]) -> dict[str, str]:
  """Every table by name."""
  return {"kinds": by_kind(found), "convolutions": by_product(found), "memory": memory(found)}


def by_kind(found: Mapping[str, Any]) -> str:
  """One line for each kind of operation, largest difference first, and the sum."""
  rows = []
  for name, sides in found.items():
    ours, theirs = (sides[side]["kinds"] for side in (OURS, THEIRS))
    lines = sorted(((k, ours[k], theirs[k]) for k in kinds.KINDS), key=lambda x: x[2] - x[1])
    for title, key in (("all", "seconds"), (PROCESSORS, "cpu_seconds")):
      lines.append((title, sides[OURS][key], sides[THEIRS][key]))
    for k, a, b in lines:
      if max(a, b) >= 5e-5:
        rows.append((name, k, *(f"{1e3 * x:.1f}" for x in (a, b)), f"{1e3 * (a - b):+.1f}"))
  return report.markdown(("step", "kind", "ours, ms", "theirs, ms", "difference"), rows)


def by_product(found: Mapping[str, Any]) -> str:
  """The convolutions of each step that cost most: milliseconds, and GFLOP/s in brackets."""
  header = ("step", "convolution", "times", "ours, forward", "theirs", "ours, gradients", "theirs")
  rows = []
  for name, sides in found.items():
    ours, theirs = (sides[side]["products"] for side in (OURS, THEIRS))
    common = sorted(ours.keys() & theirs.keys(), key=lambda x: -_cost(ours[x]))
    for key in common[:_MOST_PRODUCTS]:
      cells = [_rate(of[key], part) for part in ("forward", "backward") for of in (ours, theirs)]
      rows.append((name, key, theirs[key]["calls"], *cells))
  return report.markdown(header, rows)


def memory(found: Mapping[str, Any]) -> str:
  """MiB of each process: after its imports, when it is ready to repeat steps, at most."""
  header = ("step", "side", "imports", "arguments", "temporaries", "after the first steps", "peak")
  header += ("after compiling", "peak of compiling", "peak with it")
  rows = []
  for name, sides in found.items():
    for side in (OURS, THEIRS):
      held = sides[side]["memory"]
      first = held.get("compiling", {})
      figures = [held.get(key) for key in ("imports", "arguments", "temporaries", "ready", "peak")]
      figures += [first.get(key) for key in ("compiled", "compile_peak", "peak")]
      rows.append((name, side, *("-" if x is None else f"{x:.0f}" for x in figures)))
  return report.markdown(header, rows)


def _read(folder: str, side: str) -> str:
  return (pathlib.Path(folder) / f"{side}.json").read_text()


def _cost(entry: Mapping[str, float]) -> float:
  return entry["forward"] + entry["backward"]


def _rate(entry: Mapping[str, float], part: str) -> str:
  """Both gradients have as many operations as the forward pass each."""
  if not entry[part]:
    return "-"
  flops = entry["flops"] * max(entry["calls"], 1) * (1 + (part == "backward"))
  rate = flops / entry[part] / 1e9
  return f"{1e3 * entry[part]:.1f} ({rate:.{0 if rate >= 10 else 2}f})"


if __name__ == "__main__":
  define_flags()
  app.run(main)
