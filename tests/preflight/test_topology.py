"""Slices by name; those of TPUs need the package libtpu."""

import importlib.util
import pathlib
import subprocess
import sys

import pytest

from hrnet_jax.preflight import chips, topology

ROOT = pathlib.Path(__file__).parents[2]
needs_libtpu = pytest.mark.skipif(
  importlib.util.find_spec("libtpu") is None, reason="needs the package libtpu"
)


def run(code: str) -> str:
  """What a fresh process prints, one whose devices nobody has started."""
  done = subprocess.run(
    [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=300
  )
  assert done.returncode == 0, done.stderr
  return done.stdout.strip()


@pytest.mark.parametrize(
  "name", ["v5e", "v5e:4", "v5e:4x4x4", "v5e:0x4", "v5p:4x4", "cpu", "cpu:0", "cpu:x", "gpu:8", ""]
)
def test_unknown_names_list_the_known(name: str) -> None:
  with pytest.raises(ValueError, match=r"known: cpu:8, v4:2x2x4, v5e:4x4, v5p:2x2x4, v6e:4x4"):
    topology.open_topology(name)


def test_simulated_devices_start_whatever_the_environment_says() -> None:
  code = (
    "from hrnet_jax.preflight.topology import open_topology\n"
    "t = open_topology('cpu:3')\n"
    "print(len(t.devices), t.devices[0].platform, t.hosts, t.chip)"
  )
  assert run(code) == "3 cpu 1 None"


@pytest.mark.skipif(not needs_libtpu.args[0], reason="libtpu is here")
def test_without_libtpu_the_message_says_how_to_get_it() -> None:
  with pytest.raises(ValueError, match=r"pip install -e '\.\[preflight\]'"):
    topology.open_topology("v5e:4x4")


@needs_libtpu
def test_slices_that_libtpu_describes() -> None:
  code = (
    "from hrnet_jax.preflight.topology import open_topology\n"
    "for name in ('v5e:4x4', 'v4:2x2x2', 'v5p:2x2x1', 'v6e:2x4'):\n"
    "  t = open_topology(name)\n"
    "  print(len(t.devices), t.hosts, t.chip.name)\n"
    "try: open_topology('v5e:3x3')\n"
    "except ValueError as error: print(error)"
  )
  *slices, refused = run(code).splitlines()
  assert slices == ["16 4 TPU v5e", "8 2 TPU v4", "4 1 TPU v5p", "8 2 TPU v6e"]
  assert refused.startswith("libtpu has no topology 'v5e:3x3'")


def test_chips_have_possible_figures() -> None:
  for kind, chip in chips.CHIPS.items():
    assert 0.9 * chip.memory < chip.usable < chip.memory, kind
    # Operations for each byte of memory, and bytes of memory for each of the network.
    assert 100 < chip.flops / chip.hbm < 700, kind
    assert 3 < chip.hbm / chip.ici < 6, kind
  assert chips.find("TPU v5 lite") == chips.Chip(
    "TPU v5e", 16 * 2**30, int(15.75 * 2**30), 197e12, 819e9, 200e9
  )
  assert chips.find("TPU v99") is None
