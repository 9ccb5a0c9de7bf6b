"""This project beside PyTorch on this machine's CPU, in one run: -> tables and JSON.

    .venv/torch/bin/python -m benchmarks --output=runs/benchmark.json
    .venv/torch/bin/python -m benchmarks --parts=networks --models=w18 --modes=training --rounds=7

Parts: `networks`, inference and train step of five networks; `loading`, `training` and `prepare`,
which need the prepared data set `camvid` and are left out without it. Every rival is a process of
its own, and they take turns. Results are written after each comparison.
"""

from collections.abc import Sequence
import importlib.metadata
import importlib.util
import pathlib
import sys
from typing import Any

from absl import app, flags

from benchmarks import apart, camvid, cases, harness, networks, report

NETWORKS = "networks"
PARTS = (NETWORKS, *camvid.PARTS)
_BESIDE_TORCH = (NETWORKS, "loading")
PACKAGES = ("jax", "jaxlib", "flax", "torch", "opencv-python-headless", "grain")
_NOT_PREPARED = "is not prepared in"  # in the message of a loader


def define_flags() -> None:
  """Defines the command's flags."""
  flags.DEFINE_list("parts", list(PARTS), f"Of {', '.join(PARTS)}.")
  networks.define_flags(list(cases.CASES))
  flags.DEFINE_bool("compiled", True, "Whether torch.compile takes part.")
  flags.DEFINE_integer("compile_limit", 1800, "Seconds for torch.compile.", lower_bound=1)
  flags.DEFINE_string("data_dir", None, "Where data sets are prepared.")
  flags.DEFINE_string("output", None, "A JSON file.")


def main(argv: Sequence[str]) -> None:
  """Runs the command."""
  f = flags.FLAGS
  if len(argv) > 1:
    sys.exit(f"error: unexpected arguments: {argv[1:]}")
  networks.refuse_unknown({"parts": PARTS, "models": cases.CASES, "modes": networks.MODES})
  if set(f.parts) & set(_BESIDE_TORCH) and not importlib.util.find_spec("torch"):
    sys.exit("error: this needs PyTorch; run make benchmark, or pip install -e '.[torch]'")
  try:
    harness.use_cores(f.threads)
    print(report.text(_measure(f)))
  except (ValueError, RuntimeError, OSError) as error:
    sys.exit(f"error: {error}")


def _measure(f: Any) -> dict[str, Any]:
  data_dir = f.data_dir and str(pathlib.Path(f.data_dir).absolute())
  result = {"machine": harness.machine(f.threads, _versions()), "left_out": {}}
  rounds = 1 if f.quick else f.rounds
  if NETWORKS in f.parts:
    result[NETWORKS] = []
    for name, mode in ((name, mode) for name in f.models for mode in f.modes):
      chosen = cases.QUICK if f.quick else cases.CASES
      if name in chosen:
        _say(f"{mode} of {name}: {chosen[name]}")
        options = {"compiled": f.compiled and not f.quick, "limit": f.compile_limit}
        options |= {"rounds": rounds, "threads": f.threads}
        result[NETWORKS].append(networks.compare(name, chosen[name], mode, **options))
        _keep(f.output, result)
  amount = camvid.QUICK if f.quick else camvid.Amount(rounds=min(rounds, camvid.Amount.rounds))
  for part in (part for part in f.parts if part != NETWORKS):
    _say(f"{part} of camvid")
    try:
      result[part] = camvid.PARTS[part](data_dir, amount, f.threads)
    except apart.Failed as error:
      if _NOT_PREPARED not in str(error):
        raise
      result["left_out"][part] = "the data set camvid is not prepared"
    _keep(f.output, result)
  return result


def _versions() -> dict[str, str]:
  installed = {d.name.lower(): d.version for d in importlib.metadata.distributions()}
  return {name: installed[name] for name in PACKAGES if name in installed}


def _say(text: str) -> None:
  print(f"{text} ...", file=sys.stderr, flush=True)


def _keep(output: str | None, result: dict[str, Any]) -> None:
  if output:
    harness.write(pathlib.Path(output), result)


if __name__ == "__main__":
  define_flags()
  app.run(main)
