"""Measures how long the train step of a config takes to compile: devices and modes -> a table.

    python -m tools.compile_time --config=CONFIG --config.model.variant=w18 \
      --target=cpu:1 --target=v5e:4x4 --mode=plain --mode=scan

Every case is the whole train step, compiled in a process of its own as pre-flight does, without the
compilation cache and without arrays. A target is `cpu:N` or the name of a TPU slice, which needs
the package `libtpu` but no TPU.
"""

import argparse
from collections.abc import Mapping
import itertools
import json
import os
import time
from typing import Any

from benchmarks import cases, worker
from hrnet_jax import markdown
from hrnet_jax.cli import arguments

MODES = {
  "plain": {"scan_layers": False, "remat": False},
  "scan": {"scan_layers": True, "remat": False},
  "remat": {"scan_layers": False, "remat": True},
  "scan+remat": {"scan_layers": True, "remat": True},
}
HEADER = ("target", "mode", "trace s", "compile s", "CPU s", "code MiB", "temporaries MiB")
MIB = 2**20


def main() -> None:
  """Runs the command."""
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  arguments.add_config(parser)
  parser.add_argument("--target", action="append", help="cpu:N, or a TPU slice such as v5e:4x4")
  parser.add_argument("--mode", action="append", choices=list(MODES), help="options of the model")
  args = arguments.parse(parser, None, required=["config"])
  config, rows = json.loads(args.config.to_json()), []
  env = {"JAX_ENABLE_COMPILATION_CACHE": "false"}
  for target, mode in itertools.product(args.target or ["cpu:1"], args.mode or ["plain", "scan"]):
    given = {"config": config, "target": target, "options": MODES[mode]}
    measured = worker.facts_of(f"{__spec__.name}:measure", given, threads=_cores(), env=env)
    rows.append((target, mode, *(f"{measured[key]:.1f}" for key in HEADER[2:])))
    print(*rows[-1], flush=True)
  print(f"\n{markdown.table(HEADER, rows)}")


def measure(config: Mapping[str, Any], target: str, options: Mapping[str, Any]) -> worker.Contender:
  """Compiles one train step.

  Args:
    config: values of the experiment.
    target: see `open_topology`; all its devices share the batch.
    options: of the model.

  Returns:
    Facts, named as in `HEADER`: seconds of tracing and of compilation, the latter also as CPU time
    of all threads; MiB of code and of temporary memory per device.
  """
  from hrnet_jax.preflight import program
  from hrnet_jax.preflight.topology import open_topology

  changed = cases.from_json(config)
  changed.model.update(options)
  setup = program.set_up(changed, open_topology(target))
  start = time.perf_counter()
  lowered = setup.step.lower(*setup.arguments)
  traced, cpu = time.perf_counter(), time.process_time()
  compiled = lowered.compile()
  done, cpu = time.perf_counter(), time.process_time() - cpu
  memory = compiled.memory_analysis()
  sizes = (memory.generated_code_size_in_bytes / MIB, memory.temp_size_in_bytes / MIB)
  values = (traced - start, done - traced, cpu, *sizes)
  return worker.Contender(dict(zip(HEADER[2:], values, strict=True)), lambda calls: 0.0)


def _cores() -> int:
  return len(os.sched_getaffinity(0))


if __name__ == "__main__":
  main()
