"""Shows how one device's part of a train step shrinks as devices are added: config -> a table.

    python -m tools.scaling --config=CONFIG --config.transform.train.crop_size="(256,512)"

Compiles the config's step for 1, 2, 4 and 8 simulated devices, first along the batch, then along
the height of the images, as pre-flight does, and runs nothing. The global batch stays the same, so
that ideally every figure but the last falls as one over the number of devices. The height has to be
a multiple of 32 times the most devices.
"""

import argparse
from collections.abc import Iterator, Sequence
import dataclasses
from typing import Any

import jax

from hrnet_jax import markdown
from hrnet_jax.cli import arguments
from hrnet_jax.preflight import program
from hrnet_jax.preflight.topology import Topology, open_topology

HEADER = ("mesh `data` x `space`", "GFLOP", "traffic MiB", "temporaries MiB", "sent MiB")
MIB = 2**20


def main() -> None:
  """Runs the command."""
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
  )
  arguments.add_config(parser)
  help = "numbers of devices along either axis (default %(default)s)"
  parser.add_argument("--devices", type=arguments.comma_separated, default="1,2,4,8", help=help)
  args = arguments.parse(parser, None, required=["config"])
  jax.config.update("jax_enable_compilation_cache", False)
  counts = sorted(map(int, args.devices))
  topology = open_topology(f"cpu:{counts[-1]}")
  compiled: dict[tuple[int, int], program.CompiledStep] = {}
  for mesh in meshes(counts):
    compiled[mesh] = compile_step(args.config, mesh, topology)
    print(f"{mesh[0]} x {mesh[1]}: {compiled[mesh].seconds:.0f} s", flush=True)
  first = next(iter(compiled.values()))
  print(f"\n{markdown.table(HEADER, [cells(*entry, first) for entry in compiled.items()])}")


def meshes(counts: Sequence[int]) -> Iterator[tuple[int, int]]:
  """Sizes of `data` and `space`: all devices along the one, then along the other."""
  yield from ((count, 1) for count in counts)
  yield from ((1, count) for count in counts if count > 1)


def compile_step(config: Any, mesh: tuple[int, int], topology: Topology) -> program.CompiledStep:
  """Compiles the step for one mesh over the first devices of a topology.

  Args:
    config: the experiment; it is not changed.
    mesh: sizes of `data` and `space`.
    topology: with as many devices or more.
  """
  config = config.copy_and_resolve_references()
  config.mesh.update(data=mesh[0], space=mesh[1])
  devices = topology.devices[: mesh[0] * mesh[1]]
  part = dataclasses.replace(topology, devices=devices)
  return program.compile_step(program.set_up(config, part))


def cells(
  mesh: tuple[int, int], compiled: program.CompiledStep, first: program.CompiledStep
) -> tuple[str, ...]:
  """One row of the table; shares are of the figures of one device."""

  def cell(value: float, of_one: float, unit: float) -> str:
    return f"{value / unit:,.1f} ({100 * value / of_one:.1f} %)"

  temporaries = (x.memory["temporaries"] for x in (compiled, first))
  return (
    "{} x {}".format(*mesh),
    cell(compiled.flops, first.flops, 1e9),
    cell(compiled.traffic, first.traffic, MIB),
    cell(*temporaries, MIB),
    f"{sum(c.sent for c in compiled.collectives) / MIB:,.1f}",
  )


if __name__ == "__main__":
  main()
