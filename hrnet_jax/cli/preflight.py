"""Says whether a config fits a TPU slice, without the slice: compiles its train step for it.

  hrnet preflight --config=CONFIG --topology=v5e:4x4
  hrnet preflight --config=CONFIG --topology=cpu:8 --memory=4GiB

Needs neither the data set nor a TPU; for a TPU slice the package libtpu
(`pip install 'hrnet-jax[preflight]'`). Prints the memory of a device by kind, arithmetic, memory
traffic and collectives of a step, the time that they take at least, and a verdict.

Exit status: 0 it fits, or nobody says how much memory there is; 1 it does not fit, or a mistake.
"""

import argparse
from collections.abc import Sequence
import json
import pathlib
import re

from hrnet_jax.cli import arguments
from hrnet_jax.errors import UserError
from hrnet_jax.files import write_whole

_UNITS = {"MiB": 2**20, "GiB": 2**30, "MB": 10**6, "GB": 10**9}


def add_arguments(parser: argparse.ArgumentParser) -> None:
  """Defines the command's flags."""
  arguments.add_config(parser)
  add = parser.add_argument
  add("--topology", help="slice to compile for, such as v5e:4x4 or cpu:8")
  add("--memory", help="of a device, such as 16GiB, instead of what its maker says")
  add("--json", metavar="FILE", help="for the report as plain values")


def main(parser: argparse.ArgumentParser, argv: Sequence[str]) -> int:
  """Runs the command."""
  args = arguments.parse(parser, argv, required=["config", "topology"])
  memory = parse_bytes(args.memory) if args.memory else None
  from absl import logging
  import jax

  from hrnet_jax.preflight import check

  logging.set_verbosity(logging.ERROR)
  # What the first start on the slice will take, so nothing from a cache.
  jax.config.update("jax_enable_compilation_cache", False)
  values = check.check(args.config_name, args.config, args.topology, memory=memory)
  if args.json:
    write_whole(pathlib.Path(args.json).expanduser(), json.dumps(values, indent=2) + "\n")
  return 1 if values["verdict"]["fits"] is False else 0


def parse_bytes(text: str) -> int:
  """`16GiB` -> 17179869184.

  Raises:
    UserError: not a number with a unit.
  """
  found = re.fullmatch(rf"([0-9]+(?:\.[0-9]+)?) ?({'|'.join(_UNITS)})", text)
  if not found or not float(found[1]):
    raise UserError(f"--memory is {text!r}, expected a number and a unit, such as 16GiB")
  return int(float(found[1]) * _UNITS[found[2]])
