"""Compiles a config's train step for a slice, from shapes alone, and measures the result."""

import dataclasses
import math
import re
import time
from typing import Any

import jax
from jax.sharding import Mesh

from hrnet_jax.checkpoint.train_state import TrainState
from hrnet_jax.distributed import sharding
from hrnet_jax.ops.cpu import onednn
from hrnet_jax.preflight import collectives, cost, fake_data, hlo
from hrnet_jax.preflight.collectives import Collective
from hrnet_jax.preflight.topology import Topology
from hrnet_jax.training.setup import make_setup

Shapes = dict[str, tuple[int, ...]]

KINDS = ("parameters", "optimizer state", "batch statistics", "batch")
_OTHER = "other arguments"
_UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


class TooLarge(Exception):
  """The compiler found no way to make the program fit.

  Attributes:
    needed: bytes of a device.
    usable: bytes that there are.
  """

  def __init__(self, needed: int, usable: int):
    super().__init__(f"{needed} of {usable} bytes")
    self.needed, self.usable = needed, usable


@dataclasses.dataclass(frozen=True)
class StepSetup:
  """A train step that is ready to be compiled.

  Attributes:
    step: from `make_train_step`.
    arguments: the abstract state and batch.
    mesh: devices.
    shapes: of the global batch's arrays.
    prepared: whether the data set is.
    parameters: number of learnable values.
    sizes: bytes of a device's share of the arguments by kind, without what layouts add.
  """

  step: Any
  arguments: tuple[Any, Any]
  mesh: Mesh
  shapes: Shapes
  prepared: bool
  parameters: int
  sizes: dict[str, int]


@dataclasses.dataclass(frozen=True)
class CompiledStep:
  """One device's part of a compiled step.

  Attributes:
    seconds: that tracing and compiling took here.
    memory: bytes by kind.
    flops: see `Cost`; over one step.
    traffic: bytes to and from the main memory.
    collectives: by kind.
    unknown_loops: loops that are counted as one round.
  """

  seconds: float
  memory: dict[str, int]
  flops: int
  traffic: int
  collectives: list[Collective]
  unknown_loops: int

  @property
  def needed(self) -> int:
    """Bytes in all."""
    return sum(self.memory.values())


def set_up(config: Any, topology: Topology) -> StepSetup:
  """Builds the step as `training.loop.train` does, with shapes in place of arrays.

  Raises:
    ValueError, TypeError: the config does not fit the slice or the data set.
  """
  dataset, prepared = fake_data.open_dataset(config)
  setup = make_setup(config, dataset, topology.devices)
  mesh = setup.mesh
  shapes = fake_data.batch_shapes(config, dataset)
  batch = {name: jax.ShapeDtypeStruct(*x) for name, x in shapes.items()}
  sharding.check_height(mesh, batch["image"].shape[1], gradients=True)
  everywhere = sharding.replicated(mesh)
  state = jax.eval_shape(setup.init_state)
  arguments = (
    _placed(state, jax.tree.map(lambda _: everywhere, state)),
    _placed(batch, sharding.batch_shardings(mesh, batch)),
  )
  return StepSetup(
    step=setup.train_step,
    arguments=arguments,
    mesh=mesh,
    shapes={name: shape for name, (shape, _) in shapes.items()},
    prepared=prepared,
    parameters=sum(x.size for x in jax.tree.leaves(state.params)),
    sizes=_sizes(*arguments),
  )


def compile_step(setup: StepSetup) -> CompiledStep:
  """Compiles, which takes minutes for a large network, and reads the result.

  Raises:
    TooLarge: the compiler itself refuses.
  """
  started = time.monotonic()
  try:
    with onednn.portable():  # whose operations can be counted
      lowered = setup.step.lower(*setup.arguments)
    compiled = lowered.compile()
  except jax.errors.JaxRuntimeError as error:
    raise refusal(str(error)) or error from error
  seconds = time.monotonic() - started
  program = hlo.parse(compiled.as_text())
  total = cost.measure(program)
  return CompiledStep(
    seconds,
    _memory(program, compiled.memory_analysis(), setup),
    total.flops,
    total.traffic,
    collectives.find(program, setup.mesh.size),
    program.unknown_loops,
  )


def refusal(message: str) -> TooLarge | None:
  """Reads the TPU compiler's refusal of a program that is too large; None for other errors.

  It says `(20.00G) exceeds available HBM (15.75G)`, or in other versions
  `Used 20.00G of 15.75G hbm`.
  """
  if "RESOURCE_EXHAUSTED" not in message:
    return None
  number = r"([0-9.]+)([KMGT]?)"
  for pattern in (
    rf"\({number}\) exceeds available HBM \({number}\)",
    rf"Used {number} of {number}",
  ):
    if found := re.search(pattern, message):
      needed, unit, usable, unit2 = found.groups()
      return TooLarge(int(float(needed) * _UNITS[unit]), int(float(usable) * _UNITS[unit2]))
  return None


def _placed(tree: Any, where: Any) -> Any:
  return jax.tree.map(lambda x, s: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=s), tree, where)


def _by_kind(state: TrainState, batch: Any) -> tuple[Any, ...]:
  """The arguments of the step in the order of `KINDS`."""
  return state.params, state.opt_state, state.batch_stats, batch


def _sizes(state: TrainState, batch: Any) -> dict[str, int]:
  return dict(zip(KINDS, map(_share, _by_kind(state, batch)), strict=True))


def _share(tree: Any) -> int:
  """Bytes that one device has of a tree."""
  leaves = jax.tree.leaves(tree)
  return sum(math.prod(x.sharding.shard_shape(x.shape)) * x.dtype.itemsize for x in leaves)


def _memory(program: hlo.HloProgram, analysis: Any, setup: StepSetup) -> dict[str, int]:
  """Bytes by kind; results that take the place of the old state are not counted twice."""
  leaves, lines = _kinds_of_leaves(*setup.arguments), program.arguments
  kinds = dict.fromkeys([*KINDS, _OTHER], 0)
  for kind, line in zip(leaves, lines, strict=False):
    kinds[kind] += sum(array.stored for array in line.results)
  if len(leaves) != len(lines):  # some are not used, or constants came to them
    kinds = setup.sizes | {_OTHER: 0}
  # The compiler's own sum counts, should the layouts have been read wrong.
  kinds[_OTHER] += analysis.argument_size_in_bytes - sum(kinds.values())
  return kinds | {
    "results beside the state": analysis.output_size_in_bytes - analysis.alias_size_in_bytes,
    "temporaries": analysis.temp_size_in_bytes,
    "program": analysis.generated_code_size_in_bytes,
  }


def _kinds_of_leaves(state: TrainState, batch: Any) -> list[str]:
  """The kind of every parameter of the program; they come in the order of the leaves."""
  trees = _by_kind(state, batch)
  kind = {
    id(x): kind for kind, tree in zip(KINDS, trees, strict=True) for x in jax.tree.leaves(tree)
  }
  return [kind.get(id(x), _OTHER) for x in jax.tree.leaves((state, batch))]
