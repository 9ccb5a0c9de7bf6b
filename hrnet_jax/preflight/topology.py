"""Slices by name: `v5e:4x4` or `cpu:8` -> devices to compile for, whether they are here or not."""

from collections.abc import Sequence
import dataclasses
import importlib.util
import os
import re
from typing import Any

import jax
from jax.experimental import topologies

from hrnet_jax.errors import UserError
from hrnet_jax.preflight import chips

CPU = "cpu"

# For each kind of libtpu the number of axes of its slices, an example, and what libtpu is told.
# A v4 chip is one device, as programs see it on the machines, only with "megacore".
KINDS: dict[str, tuple[int, str, dict[str, Any]]] = {
  "v4": (3, "2x2x4", {"chip_config_name": "megacore"}),
  "v5e": (2, "4x4", {}),
  "v5p": (3, "2x2x4", {}),
  "v6e": (2, "4x4", {}),
}
# libtpu looks for a machine with TPUs unless it is told what it is on.
_QUIET = {
  "TPU_SKIP_MDS_QUERY": "1",
  "TPU_ACCELERATOR_TYPE": "v5litepod-4",
  "TPU_WORKER_HOSTNAMES": "localhost",
  "TPU_WORKER_ID": "0",
}


@dataclasses.dataclass(frozen=True)
class Topology:
  """A slice.

  Attributes:
    name: as asked for.
    devices: to build a mesh over.
    chip: figures of one device; None for CPUs.
    hosts: machines, of which each runs one process.
  """

  name: str
  devices: Sequence[Any]
  chip: chips.Chip | None
  hosts: int


def open_topology(name: str) -> Topology:
  """Finds the devices of a slice; to be called before anything else asks JAX for a device.

  Args:
    name: `cpu:N` simulates N devices and needs nothing else; a TPU slice such as `v5e:4x4` or
      `v5p:2x2x4` needs the package libtpu, but no TPU.

  Raises:
    UserError: not the name of a slice; says which there are. Or libtpu is not installed.
  """
  kind, colon, size = name.partition(":")
  if kind == CPU and re.fullmatch(r"[1-9][0-9]*", size):
    return Topology(name, _simulated(int(size)), None, hosts=1)
  rank = KINDS[kind][0] if kind in KINDS else 0
  if not colon or not rank or not re.fullmatch(rf"[1-9][0-9]*(x[1-9][0-9]*){{{rank - 1}}}", size):
    raise UserError(f"unknown topology {name!r}; known: {known()}")
  devices = _described(name, KINDS[kind][2])
  hosts = len({device.process_index for device in devices})
  return Topology(name, devices, chips.find(devices[0].device_kind), hosts)


def known() -> str:
  """A list of the names for messages; sizes are examples."""
  return ", ".join([f"{CPU}:8", *(f"{kind}:{example}" for kind, (_, example, _) in KINDS.items())])


def _simulated(count: int) -> Sequence[Any]:
  jax.config.update("jax_platforms", CPU)
  jax.config.update("jax_num_cpu_devices", count)
  if len(jax.devices()) < count:
    raise UserError(
      f"{CPU}:{count} needs {count} simulated devices, but JAX has started with "
      f"{len(jax.devices())}; unset XLA_FLAGS and start again"
    )
  return jax.devices()[:count]


def _described(name: str, options: dict[str, Any]) -> Sequence[Any]:
  if importlib.util.find_spec("libtpu") is None:
    raise UserError(
      f"topology {name} needs libtpu, which compiles for TPUs on any machine; "
      "pip install -e '.[preflight]' adds it, and cpu:8 does without"
    )
  for key, value in _QUIET.items():
    os.environ.setdefault(key, value)
  jax.config.update("jax_platforms", CPU)  # what runs here, such as constants, runs on the CPU
  try:
    return topologies.get_topology_desc(name, platform="tpu", **options).devices
  except jax.errors.JaxRuntimeError as error:
    raise UserError(
      f"libtpu has no topology {name!r}: {_plain(error)}; known: {known()}"
    ) from error


def _plain(error: Exception) -> str:
  return str(error).partition(": ")[2].splitlines()[0]
