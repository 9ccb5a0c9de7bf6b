"""This project beside PyTorch on this machine's CPU, in one run: -> tables and JSON.

    .venv/torch/bin/python -m benchmarks --output=runs/benchmark.json
    .venv/torch/bin/python -m benchmarks --parts=networks --models=w18 --modes=training --rounds=7

Parts: `networks`, inference and train step of five networks; `loading`, `training` and `prepare`,
which need the prepared data set `camvid` and are left out without it. Every contender is a process
of its own, and each is measured once a round. Results are written after each comparison.
"""

import argparse
from collections.abc import Sequence
import importlib.metadata
import importlib.util
import json
import os
import pathlib
import platform
import sys
from typing import Any

from benchmarks import cases, networks, pipeline, report, worker
from hrnet_jax.cli import arguments

NETWORKS = "networks"
PARTS = (NETWORKS, *pipeline.PARTS)
PACKAGES = ("jax", "jaxlib", "flax", "torch", "opencv-python-headless", "grain")
_BESIDE_TORCH = (NETWORKS, "loading")
_NOT_PREPARED = "is not prepared in"  # in the message of a loader


def main(argv: Sequence[str] | None = None) -> None:
  """Runs the command with its arguments, by default those of this process.

  Raises:
    SystemExit: with a message, where a flag is wrong or a contender failed.
  """
  args = _parse(argv)
  for flag, names in (("parts", PARTS), ("models", cases.CASES), ("modes", networks.MODES)):
    if unknown := sorted(set(getattr(args, flag)) - set(names)):
      sys.exit(f"error: --{flag} has {unknown[0]!r}; known: {', '.join(names)}")
  if set(args.parts) & set(_BESIDE_TORCH) and not importlib.util.find_spec("torch"):
    sys.exit("error: this needs PyTorch; run make benchmark, or pip install -e '.[torch]'")
  try:
    worker.use_cores(args.threads)
    print(report.text(_measure(args)))
  except (ValueError, RuntimeError, OSError) as error:
    sys.exit(f"error: {error}")


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
  parser = argparse.ArgumentParser(
    prog="python -m benchmarks",
    description=__doc__,
    formatter_class=argparse.RawDescriptionHelpFormatter,
    allow_abbrev=False,
  )
  add, names, positive = parser.add_argument, arguments.comma_separated, arguments.positive
  add("--parts", type=names, default=[*PARTS], help=f"any of {', '.join(PARTS)}")
  add("--models", type=names, default=[*cases.CASES], help=f"any of {', '.join(cases.CASES)}")
  add("--modes", type=names, default=[*networks.MODES], help=f"any of {', '.join(networks.MODES)}")
  add("--rounds", type=positive, default=7, help="how often each contender is measured")
  add("--threads", type=positive, default=2, help="of each contender")
  add("--quick", action="store_true", help="small inputs, and little of them: does all run?")
  add("--no-compiled", dest="compiled", action="store_false", help="leave torch.compile out")
  add("--compile_limit", type=positive, default=1800, help="seconds for torch.compile")
  add("--data_dir", type=pathlib.Path, help="where data sets are prepared")
  add("--output", type=pathlib.Path, help="a JSON file")
  return parser.parse_args(argv)


def _measure(args: argparse.Namespace) -> dict[str, Any]:
  data_dir = args.data_dir and str(args.data_dir.absolute())
  result: dict[str, Any] = {"machine": _machine(args.threads), "left_out": {}}
  rounds = 1 if args.quick else args.rounds
  if NETWORKS in args.parts:
    result[NETWORKS] = []
    chosen = cases.QUICK if args.quick else cases.CASES
    options = {"compiled": args.compiled and not args.quick, "limit": args.compile_limit}
    options |= {"rounds": rounds, "threads": args.threads}
    for name, mode in ((n, mode) for n in args.models if n in chosen for mode in args.modes):
      _say(f"{mode} of {name}")
      found = networks.compare(name, chosen[name].config(), mode, **options)
      result[NETWORKS].append(found)
      _keep(args.output, result)
  amount = pipeline.QUICK if args.quick else pipeline.Amount(rounds=min(rounds, 3))
  for part in (part for part in args.parts if part != NETWORKS):
    _say(f"{part} of camvid")
    try:
      result[part] = pipeline.PARTS[part](data_dir, amount, args.threads)
    except worker.WorkerFailed as error:
      if _NOT_PREPARED not in str(error):
        raise
      result["left_out"][part] = "the data set camvid is not prepared"
    _keep(args.output, result)
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


def _keep(output: pathlib.Path | None, result: dict[str, Any]) -> None:
  """Stores the result so far, so that an interrupted run is not lost."""
  if output:
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
  main()
