"""How long a train step takes to compile: networks and devices -> table and JSON.

    python -m benchmarks.compile_time --variant=w18 --target=cpu --target=v5e:4x4

Every case is the whole train step of the Cityscapes recipe with another network, compiled in a
process of its own as pre-flight does, without the compilation cache and without arrays. A target is
`cpu`, one device, or the name of a TPU slice, which needs the package `libtpu` but no TPU.
"""

from collections.abc import Sequence
import itertools
import json
import os
import pathlib
import subprocess
import sys
import time
from typing import Any

from absl import app, flags
import jax

from benchmarks import harness
from configs.segmentation import cityscapes
from hrnet_jax.preflight import program
from hrnet_jax.preflight.topology import open_topology

# Global batch of crops 512x1024; the CPU stands for one small machine.
BATCH = {"cpu": 2}
SLICE_BATCH = 32
MODES = {
  "plain": {},
  "scan": {"scan_layers": True},
  "remat": {"remat": True},
  "scan+remat": {"scan_layers": True, "remat": True},
}
COLUMNS = {
  "variant": "network",
  "target": "target",
  "mode": "mode",
  "trace_seconds": "trace s",
  "compile_seconds": "compile s",
  "cpu_seconds": "CPU s",
  "code_mib": "code MiB",
  "temp_mib": "temp MiB",
}


def define_flags() -> None:
  """Defines the command's flags."""
  flags.DEFINE_multi_string("variant", ["w18"], "Keys of `backbone.VARIANTS`.")
  flags.DEFINE_multi_string("target", ["cpu"], "`cpu`, or a TPU slice such as v5e:4x4.")
  flags.DEFINE_multi_enum("mode", ["plain", "scan"], list(MODES), "Options of the model.")
  flags.DEFINE_enum("dtype", "bfloat16", ["bfloat16", "float32"], "Of activations.")
  flags.DEFINE_string("compiler_options", "{}", "JSON, for XLA.")
  flags.DEFINE_string("output", None, "A JSON file.")
  flags.DEFINE_bool("here", False, "Compile the only case in this process; print JSON.")


def main(argv: Sequence[str]) -> None:
  """Runs the command."""
  del argv
  f = flags.FLAGS
  cases = list(itertools.product(f.variant, f.target, f.mode))
  if f.here:
    options = json.loads(f.compiler_options)
    (case,) = cases
    print(json.dumps(measure(*case, dtype=f.dtype, options=options)))
    return
  rows = [_apart(*case, dtype=f.dtype, options=f.compiler_options) for case in cases]
  print(harness.table(list(COLUMNS.values()), [[row[key] for key in COLUMNS] for row in rows]))
  if f.output:
    versions = {"jax": jax.__version__}
    result = {"machine": harness.machine(os.cpu_count(), versions), "cases": rows}
    harness.write(pathlib.Path(f.output), result)


def _apart(variant: str, target: str, mode: str, *, dtype: str, options: str) -> dict[str, Any]:
  """`measure` in a fresh process, which does not profit from what others have compiled."""
  command = [sys.executable, "-m", "benchmarks.compile_time", "--here"]
  command += [f"--variant={variant}", f"--target={target}", f"--mode={mode}", f"--dtype={dtype}"]
  env = {**os.environ, "JAX_ENABLE_COMPILATION_CACHE": "false"}
  command += [f"--compiler_options={options}"]
  done = subprocess.run(command, env=env, stdout=subprocess.PIPE, text=True, check=False)
  if done.returncode:
    raise SystemExit(f"error: {variant} for {target}, {mode}, did not compile; see above")
  return json.loads(done.stdout.splitlines()[-1])


def measure(
  variant: str, target: str, mode: str, *, dtype: str, options: dict[str, Any]
) -> dict[str, Any]:
  """Compiles one train step.

  Args:
    variant: key of `backbone.VARIANTS`.
    target: `cpu`, or a slice such as `v5e:4x4`, whose chips all share the batch.
    mode: key of `MODES`.
    dtype: of activations.
    options: for XLA.

  Returns:
    Seconds of tracing and of compilation, the latter also as CPU time of all threads; MiB of code
    and of temporary memory per device.
  """
  setup = set_up(variant, target, **MODES[mode], dtype=dtype)
  start = time.perf_counter()
  lowered = setup.step.lower(*setup.arguments)
  traced, cpu = time.perf_counter(), time.process_time()
  compiled = lowered.compile(options)
  done, cpu = time.perf_counter(), time.process_time() - cpu
  memory = compiled.memory_analysis()
  return {
    "variant": variant,
    "target": target,
    "mode": mode,
    "trace_seconds": round(traced - start, 1),
    "compile_seconds": round(done - traced, 1),
    "cpu_seconds": round(cpu, 1),
    "code_mib": round(memory.generated_code_size_in_bytes / 2**20, 1),
    "temp_mib": round(memory.temp_size_in_bytes / 2**20, 1),
    "flops": (compiled.cost_analysis() or {}).get("flops"),
  }


def set_up(variant: str, target: str, **options: Any) -> program.StepSetup:
  """The step of the Cityscapes recipe with another network, for the target's devices."""
  config = cityscapes.get_config()
  config.model.update(variant=variant, **options)
  config.train.batch_size = config.eval.batch_size = BATCH.get(target, SLICE_BATCH)
  return program.set_up(config, open_topology("cpu:1" if target == "cpu" else target))


if __name__ == "__main__":
  define_flags()
  app.run(main)
