"""The report of pre-flight: compiled step and slice -> text, plain values and a verdict."""

from collections.abc import Iterable, Mapping
import dataclasses
from typing import Any

import hrnet_jax
from hrnet_jax.preflight.chips import HOP
from hrnet_jax.preflight.program import CompiledStep, StepSetup, TooLarge
from hrnet_jax.preflight.topology import Topology

MIB, GIB = 2**20, 2**30
SPARE = 0.03  # of the memory: below this share a verdict warns


@dataclasses.dataclass(frozen=True)
class Verdict:
  """Whether a step fits.

  Attributes:
    fits: None if nobody says how much memory there is.
    needed: bytes of a device.
    usable: bytes that there are.
    text: one line, and what to do.
  """

  fits: bool | None
  needed: int
  usable: int | None
  text: str


def judge(
  result: CompiledStep | TooLarge,
  config: Any,
  setup: StepSetup,
  topology: Topology,
  memory: int | None,
) -> Verdict:
  """Compares what the step needs with what a device has.

  Args:
    result: compiled, or the compiler's refusal.
    config: of which the advice names keys.
    setup: of the step.
    topology: the slice.
    memory: bytes of a device; None is what its maker says.
  """
  usable = memory or (topology.chip.usable if topology.chip else None)
  refused = isinstance(result, TooLarge)
  if refused:
    usable = min(usable or result.usable, result.usable)
  if usable is None:
    text = f"needs {amount(result.needed)} a device; --memory=16GiB says how much there is"
    return Verdict(None, result.needed, None, text)
  if refused or result.needed > usable:
    advice = "\n".join(f"  {line}" for line in _advice(config, setup))
    text = (
      f"does not fit: needs {amount(result.needed)} of {amount(usable)} a device; try\n{advice}"
    )
    return Verdict(False, result.needed, usable, text)
  spare = usable - result.needed
  text = (
    f"fits: needs {amount(result.needed)} of {amount(usable)} a device, {amount(spare)} to spare"
  )
  if spare < SPARE * usable:
    text += "; that is close, and another version of the compiler may need more"
  return Verdict(True, result.needed, usable, text)


def _advice(config: Any, setup: StepSetup) -> list[str]:
  """Changes that save memory and are possible, the cheapest first."""
  model, train, mesh = config.model, config.train, setup.mesh.shape
  at_once = train.batch_size // mesh["data"] // train.accumulate
  can_split = not (mesh["data"] % 2 or setup.shapes["image"][1] % (64 * mesh["space"]))
  parts, space = f"--config.train.accumulate={2 * train.accumulate}", 2 * mesh["space"]
  smallest = mesh["data"] * train.accumulate
  lines = {
    "--config.model.dtype=bfloat16: values half as large": model.dtype != "bfloat16",
    "model.remat=True: the backward pass computes values again": not model.get("remat", False),
    f"{parts}: the batch in more parts, one after the other": at_once % 2 == 0,
    f"--config.train.batch_size={smallest}: the smallest batch of this mesh": at_once > 1,
    f"--config.mesh.space={space} {parts}: a device has half as much of an image": (
      at_once == 1 and can_split
    ),
    "smaller images, or a slice of chips with more memory": True,
  }
  return [line for line, possible in lines.items() if possible]


def describe_setup(name: str, config: Any, setup: StepSetup, topology: Topology) -> str:
  """The slice, the mesh and the network that are about to be compiled."""
  chip, mesh = topology.chip, setup.mesh.shape
  count = setup.mesh.size
  what = _plural(count, f"{chip.name} chip" if chip else "device")
  size = "x".join(map(str, setup.shapes["image"][1:3]))
  lines = [
    f"{name} on {topology.name}: {what}, {_plural(topology.hosts, 'host')}",
    f"mesh data {mesh['data']} x space {mesh['space']}, batch {config.train.batch_size} of {size}: "
    f"{config.train.batch_size // mesh['data']} on {_plural(mesh['space'], 'device')}",
    f"{config.model.task} with {setup.parameters:,} parameters, {config.model.dtype}",
  ]
  if topology.hosts > 1:
    lines.append(f"every host runs one process, with {count // topology.hosts} of the devices")
  if not setup.prepared:
    lines.append(f"data set {config.data.name} is not prepared: shapes are of a made-up example")
  return "\n".join(lines)


def describe_step(compiled: CompiledStep, batch_size: int, topology: Topology) -> str:
  """Memory, arithmetic and collectives of a device."""
  rows = [(f"compiled in {compiled.seconds:.0f} s", "")]
  rows.append(("memory of a device", "MiB"))
  rows += _memory(compiled.memory)
  rows.append(("  in all", f"{compiled.needed / MIB:,.1f}"))
  bounds = least_seconds(compiled, topology)
  rows.append(("one step on a device", "" if not bounds else "at least"))
  flops = f"  arithmetic, {compiled.flops / 1e9:,.1f} GFLOP"
  rows.append((flops, _milliseconds(bounds, "arithmetic")))
  traffic = f"  main memory, {compiled.traffic / 1e9:,.2f} GB moved"
  rows.append((traffic, _milliseconds(bounds, "memory")))
  sent = sum(c.sent for c in compiled.collectives)
  rows.append((f"  to other devices, {sent / 1e6:,.1f} MB sent", _milliseconds(bounds, "network")))
  for c in compiled.collectives:
    rows.append((f"    {c.count} {c.kind}, {c.bytes / 1e6:,.1f} MB put in", ""))
  if bounds:
    slowest = max(bounds, key=bounds.get)
    rate = batch_size / bounds[slowest]
    rows.append((f"  so at most {rate:,.0f} images/s, bound by {slowest}", ""))
  if compiled.unknown_loops:
    rows.append(
      (f"  {compiled.unknown_loops} loops of unknown length are counted as one round", "")
    )
  return _table(rows)


def describe_arguments(setup: StepSetup) -> str:
  """Memory of the arguments, which is all that is known of a step that the compiler refused."""
  return _table([("memory of a device, as far as it is known", "MiB"), *_memory(setup.sizes)])


def least_seconds(compiled: CompiledStep, topology: Topology) -> dict[str, float]:
  """Seconds that a step takes at least, by what bounds it; empty for unknown chips."""
  chip = topology.chip
  if chip is None:
    return {}
  return {
    "arithmetic": compiled.flops / chip.flops,
    "memory": compiled.traffic / chip.hbm,
    "network": sum(c.sent / chip.ici + c.count * HOP for c in compiled.collectives),
  }


def plain_values(
  name: str,
  config: Any,
  setup: StepSetup,
  topology: Topology,
  result: CompiledStep | TooLarge,
  v: Verdict,
) -> dict[str, Any]:
  """The report as plain values, for a file."""
  plain = {
    "hrnet_jax": hrnet_jax.__version__,
    "config": name,
    "topology": topology.name,
    "devices": setup.mesh.size,
    "hosts": topology.hosts,
    "chip": dataclasses.asdict(topology.chip) if topology.chip else None,
    "mesh": dict(setup.mesh.shape),
    "batch_size": config.train.batch_size,
    "batch": {name: list(shape) for name, shape in setup.shapes.items()},
    "parameters": setup.parameters,
    "data_set_prepared": setup.prepared,
    "verdict": dataclasses.asdict(v),
  }
  if isinstance(result, TooLarge):
    return plain | {"memory": setup.sizes}
  return plain | {
    "compile_seconds": result.seconds,
    "memory": result.memory,
    "flops": result.flops,
    "traffic": result.traffic,
    "collectives": [dataclasses.asdict(c) for c in result.collectives],
    "seconds_at_least": least_seconds(result, topology),
  }


def amount(size: int) -> str:
  """`1.25 GiB`, and below one GiB `12.5 MiB`."""
  return f"{size / GIB:.2f} GiB" if size >= GIB else f"{size / MIB:.1f} MiB"


def _memory(kinds: Mapping[str, int]) -> list[tuple[str, str]]:
  return [(f"  {kind}", f"{size / MIB:,.1f}") for kind, size in kinds.items() if size]


def _table(rows: Iterable[tuple[str, str]]) -> str:
  return "\n".join(f"{left:<48}{right:>12}".rstrip() for left, right in rows)


def _plural(count: int, name: str) -> str:
  return f"{count} {name}{'s' * (count != 1)}"


def _milliseconds(bounds: Mapping[str, float], key: str) -> str:
  return f"{bounds[key] * 1e3:,.2f} ms" if bounds else ""
