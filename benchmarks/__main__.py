"""This project beside PyTorch on this machine's CPU, in one run: -> tables and JSON.

    .venv/torch/bin/python -m benchmarks --output=runs/benchmark.json
    .venv/torch/bin/python -m benchmarks --parts=networks --models=w18 --modes=training --rounds=7

Parts: `networks`, inference and train step of five networks; `loading`, `training` and `prepare`,
which need the prepared data set `camvid` and are left out without it. Every contender is a process
of its own, and each is measured once a round. Results are written after each comparison.
"""

from collections.abc import Sequence
import importlib.metadata
import importlib.util
import json
import os
import pathlib
import platform
import sys
from typing import Any

from absl import app, flags

from benchmarks import cases, networks, pipeline, report, worker

NETWORKS = "networks"
PARTS = (NETWORKS, *pipeline.PARTS)
PACKAGES = ("jax", "jaxlib", "flax", "torch", "opencv-python-headless", "grain")
_BESIDE_TORCH = (NETWORKS, "loading")
_NOT_PREPARED = "is not prepared in"  # in the message of a loader


def define_flags() -> None:
  """Defines the command's flags."""
  flags.DEFINE_list("parts", list(PARTS), f"Any of {', '.join(PARTS)}.")
  flags.DEFINE_list("models", list(cases.CASES), f"Any of {', '.join(cases.CASES)}.")
  flags.DEFINE_list("modes", list(networks.MODES), f"Any of {', '.join(networks.MODES)}.")
  flags.DEFINE_integer("rounds", 7, "How often each contender is measured.", lower_bound=1)
  flags.DEFINE_integer("threads", 2, "Threads of each contender.", lower_bound=1)
  flags.DEFINE_bool("quick", False, "Small inputs, and little of them: shows that everything runs.")
  flags.DEFINE_bool("compiled", True, "Whether torch.compile takes part.")
  flags.DEFINE_integer("compile_limit", 1800, "Seconds for torch.compile.", lower_bound=1)
  flags.DEFINE_string("data_dir", None, "Where data sets are prepared.")
  flags.DEFINE_string("output", None, "A JSON file.")


def main(argv: Sequence[str]) -> None:
  """Runs the command."""
  f = flags.FLAGS
  if len(argv) > 1:
    sys.exit(f"error: unexpected arguments: {argv[1:]}")
  for flag, names in (("parts", PARTS), ("models", cases.CASES), ("modes", networks.MODES)):
    if unknown := sorted(set(f[flag].value) - set(names)):
      sys.exit(f"error: --{flag} has {unknown[0]!r}; known: {', '.join(names)}")
  if set(f.parts) & set(_BESIDE_TORCH) and not importlib.util.find_spec("torch"):
    sys.exit("error: this needs PyTorch; run make benchmark, or pip install -e '.[torch]'")
  try:
    worker.use_cores(f.threads)
    print(report.text(_measure(f)))
  except (ValueError, RuntimeError, OSError) as error:
    sys.exit(f"error: {error}")


def _measure(f: Any) -> dict[str, Any]:
  data_dir = f.data_dir and str(pathlib.Path(f.data_dir).absolute())
  result: dict[str, Any] = {"machine": _machine(f.threads), "left_out": {}}
  rounds = 1 if f.quick else f.rounds
  if NETWORKS in f.parts:
    result[NETWORKS] = []
    chosen = cases.QUICK if f.quick else cases.CASES
    options = {"compiled": f.compiled and not f.quick, "limit": f.compile_limit}
    options |= {"rounds": rounds, "threads": f.threads}
    for name, mode in ((n, mode) for n in f.models if n in chosen for mode in f.modes):
      _say(f"{mode} of {name}")
      found = networks.compare(name, chosen[name].config(), mode, **options)
      result[NETWORKS].append(found)
      _keep(f.output, result)
  amount = pipeline.QUICK if f.quick else pipeline.Amount(rounds=min(rounds, 3))
  for part in (part for part in f.parts if part != NETWORKS):
    _say(f"{part} of camvid")
    try:
      result[part] = pipeline.PARTS[part](data_dir, amount, f.threads)
    except worker.WorkerFailed as error:
      if _NOT_PREPARED not in str(error):
        raise
      result["left_out"][part] = "the data set camvid is not prepared"
    _keep(f.output, result)
  return result


def _machine(threads: int) -> dict[str, Any]:
  """Processor, load and versions, which the figures depend on."""
  info = pathlib.Path("/proc/cpuinfo")
  lines = info.read_text().splitlines() if info.exists() else []
  names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
  installed = {d.name.lower(): d.version for d in importlib.metadata.distributions()}
  return {
    "processor": names[0] if names else platform.processor() or platform.machine(),
    "threads": threads,
    "load": round(os.getloadavg()[0], 2),
    "python": platform.python_version(),
    **{name: installed[name] for name in PACKAGES if name in installed},
  }


def _say(text: str) -> None:
  print(f"{text} ...", file=sys.stderr, flush=True)


def _keep(output: str | None, result: dict[str, Any]) -> None:
  """Stores the result so far, so that an interrupted run is not lost."""
  if output:
    path = pathlib.Path(output)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
  define_flags()
  app.run(main)
