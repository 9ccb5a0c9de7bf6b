"""How one device's part of a train step shrinks as devices are added: config -> Markdown table.

    python -m benchmarks.scaling --config=configs/segmentation/camvid.py \
      --config.transform.train.crop_size="(256,512)"

Compiles the config's step for 1, 2, 4 and 8 simulated devices, first along the batch, then along
the height of the images, as `hrnet_jax.preflight` does, and runs nothing. The global batch stays
the same, so that ideally every figure but the last falls as one over the number of devices. The
height has to be a multiple of 32 times the most devices.
"""

from collections.abc import Iterator, Sequence
import copy
import dataclasses
import pathlib
from typing import Any

from absl import app, flags
import jax
from ml_collections import config_flags

from benchmarks import harness
from hrnet_jax.preflight import program
from hrnet_jax.preflight.topology import Topology, open_topology

MIB = 2**20
HEADER = ("mesh `data` x `space`", "GFLOP", "traffic MiB", "temporaries MiB", "sent MiB")


def define_flags() -> None:
  """Defines the command's flags."""
  config_flags.DEFINE_config_file("config", None, "The experiment.", lock_config=True)
  flags.DEFINE_list("devices", ["1", "2", "4", "8"], "How many, along either axis.")
  flags.DEFINE_string("output", None, "A JSON file with the figures.")
  flags.mark_flag_as_required("config")


def main(argv: Sequence[str]) -> None:
  """Runs the command."""
  if len(argv) > 1:
    raise app.UsageError(f"unexpected arguments: {argv[1:]}")
  jax.config.update("jax_enable_compilation_cache", False)
  f = flags.FLAGS
  counts = sorted(map(int, f.devices))
  topology = open_topology(f"cpu:{counts[-1]}")
  rows = []
  for mesh in meshes(counts):
    rows.append(measure(f.config, mesh, topology))
    print(line(rows[-1], rows[0]), flush=True)
  print("\n" + table(rows))
  if f.output:
    result = {"jax": jax.__version__, "config": f.config.to_dict(), "meshes": rows}
    harness.write(pathlib.Path(f.output), result)


def meshes(counts: Sequence[int]) -> Iterator[tuple[int, int]]:
  """Sizes of `data` and `space`: all devices along the one, then along the other."""
  yield from ((count, 1) for count in counts)
  yield from ((1, count) for count in counts if count > 1)


def measure(config: Any, mesh: tuple[int, int], topology: Topology) -> dict[str, Any]:
  """Compiles the step for one mesh over the first devices of a topology.

  Args:
    config: see `configs/`; it is not changed.
    mesh: sizes of `data` and `space`.
    topology: with as many devices or more.

  Returns:
    For one device: operations of products and convolutions, bytes to and from the memory, bytes
    of temporary arrays, bytes sent to other devices.
  """
  config = copy.deepcopy(config)
  config.mesh = {"data": mesh[0], "space": mesh[1]}
  devices = topology.devices[: mesh[0] * mesh[1]]
  compiled = program.compile_step(
    program.set_up(config, dataclasses.replace(topology, devices=devices))
  )
  return {
    "mesh": list(mesh),
    "flops": compiled.flops,
    "traffic": compiled.traffic,
    "temporaries": compiled.memory["temporaries"],
    "sent": sum(c.sent for c in compiled.collectives),
    "seconds": round(compiled.seconds, 1),
  }


def line(row: dict[str, Any], first: dict[str, Any]) -> str:
  """One mesh as a row of the table; shares are of the figures of one device."""

  def cell(key: str, unit: float) -> str:
    return f"{row[key] / unit:,.1f} ({100 * row[key] / first[key]:.1f} %)"

  cells = [
    "{} x {}".format(*row["mesh"]),
    cell("flops", 1e9),
    cell("traffic", MIB),
    cell("temporaries", MIB),
    f"{row['sent'] / MIB:,.1f}",
  ]
  return f"| {' | '.join(cells)} |"


def table(rows: Sequence[dict[str, Any]]) -> str:
  """All meshes, as Markdown; the first row is what the others are shares of."""
  head = [f"| {' | '.join(HEADER)} |", f"| ---{' | ---:' * (len(HEADER) - 1)} |"]
  return "\n".join([*head, *(line(row, rows[0]) for row in rows)])


if __name__ == "__main__":
  define_flags()
  app.run(main)
