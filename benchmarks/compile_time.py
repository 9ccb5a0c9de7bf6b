"""How long a train step takes to compile: networks and devices -> table and JSON.

    python -m benchmarks.compile_time --variant=w18 --target=cpu --target=v5e:4x4

Every case is the whole train step of a segmentation network with SGD, compiled in a process of its
own, without the compilation cache and without arrays. A target is `cpu`, one device, or the name of
a TPU slice, which needs the package `libtpu` but no TPU.
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
from jax.experimental import topologies
import jax.numpy as jnp

from benchmarks import harness
from hrnet_jax.models.network import build_model
from hrnet_jax.ops.resize import Resize
from hrnet_jax.tasks.segmentation import Segmentation
from hrnet_jax.training import optim, sharding
from hrnet_jax.training.state import TrainState, init_variables
from hrnet_jax.training.step import make_train_step

NUM_CLASSES, UPSAMPLE = 19, Resize.BILINEAR
# Global batch and image size; the CPU stands for one small machine.
SIZES = {"cpu": (2, 512, 1024)}
SLICE_SIZE = (32, 512, 1024)
MODES = {
  "plain": {},
  "roll": {"roll": True},
  "remat": {"remat": True},
  "roll+remat": {"roll": True, "remat": True},
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
  flags.DEFINE_multi_enum("mode", ["plain", "roll"], list(MODES), "Options of the model.")
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
  env = {**os.environ, "JAX_PLATFORMS": "cpu", "TPU_SKIP_MDS_QUERY": "1"}
  env["JAX_ENABLE_COMPILATION_CACHE"] = "false"
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
  step, args = train_step(variant, target, **MODES[mode], dtype=dtype)
  start = time.perf_counter()
  lowered = step.lower(*args)
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


def train_step(variant: str, target: str, **options: Any) -> tuple[Any, tuple[Any, Any]]:
  """The jitted train step and the shapes of its arguments, placed on the target's devices."""
  if target == "cpu":
    devices = jax.devices("cpu")[:1]
  else:
    devices = topologies.get_topology_desc(target, platform="tpu").devices
  mesh = sharding.make_mesh({"data": -1, "space": 1}, devices)
  model = build_model(
    task="segmentation", variant=variant, num_classes=NUM_CLASSES, upsample=UPSAMPLE, **options
  )
  schedule = {"name": "poly", "power": 0.9}
  _, tx = optim.build(1000, name="sgd", learning_rate=0.01, momentum=0.9, schedule=schedule)
  step = make_train_step(_task(model), tx, mesh, seed=0)
  return step, (_state(model, tx, mesh), _batch(SIZES.get(target, SLICE_SIZE), mesh))


def _task(model: Any) -> Segmentation:
  return Segmentation(
    model=model,
    num_classes=NUM_CLASSES,
    upsample=UPSAMPLE,
    class_names=tuple(map(str, range(NUM_CLASSES))),
    palette=((0, 0, 0),) * NUM_CLASSES,
  )


def _state(model: Any, tx: Any, mesh: Any) -> TrainState:
  def init() -> TrainState:
    variables = init_variables(model, seed=0)
    opt_state = tx.init(variables["params"])
    return TrainState(step=jnp.zeros((), jnp.int32), opt_state=opt_state, **variables)

  return _placed(jax.eval_shape(init), sharding.replicated(mesh))


def _batch(size: tuple[int, int, int], mesh: Any) -> dict[str, Any]:
  shapes = {"image": (*size, 3), "label": size}
  batch = {name: jax.ShapeDtypeStruct(x, jnp.uint8) for name, x in shapes.items()}
  where = sharding.batch_shardings(mesh, batch)
  return {name: _placed(x, where[name]) for name, x in batch.items()}


def _placed(tree: Any, place: Any) -> Any:
  return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=place), tree)


if __name__ == "__main__":
  define_flags()
  app.run(main)
