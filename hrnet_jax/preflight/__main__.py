"""Says whether a config fits a TPU slice, without the slice: compiles its train step for it.

  python -m hrnet_jax.preflight --config=CONFIG --topology=v5e:4x4
  python -m hrnet_jax.preflight --config=CONFIG --topology=cpu:8 --memory=4GiB

Needs neither the data set nor a TPU; for a TPU slice the package libtpu (`pip install -e
'.[preflight]'`). Prints the memory of a device by kind, arithmetic, memory traffic and collectives
of a step, the time that they take at least, and a verdict. `--config.key=value` changes a value.

  --memory=16GiB   of a device, instead of what its maker says
  --json=FILE      the same as plain values

Exit status: 0 it fits, or nobody says how much memory there is; 1 it does not fit, or an error.
"""

from collections.abc import Sequence
import json
import pathlib
import re
import sys

from absl import app, flags, logging
import jax
from ml_collections import config_flags

from hrnet_jax.distributed import runtime
from hrnet_jax.preflight import check

_UNITS = {"MiB": 2**20, "GiB": 2**30, "MB": 10**6, "GB": 10**9}


def define_flags() -> None:
  """Defines the command's flags; only the command itself does, so that importing is free of it."""
  config_flags.DEFINE_config_file("config", None, "The experiment.", lock_config=True)
  flags.DEFINE_string("topology", None, "Slice to compile for, such as v5e:4x4 or cpu:8.")
  flags.DEFINE_string("memory", "", "Memory of a device, such as 16GiB.")
  flags.DEFINE_string("json", "", "File for the report as plain values.")
  flags.mark_flags_as_required(["config", "topology"])


def main(argv: Sequence[str]) -> int:
  """Runs the command and returns its exit status."""
  if len(argv) > 1:
    raise app.UsageError(f"unexpected arguments: {argv[1:]}")
  logging.set_verbosity(logging.ERROR)
  # What the first start on the slice will take, so nothing from a cache.
  jax.config.update("jax_enable_compilation_cache", False)
  f = flags.FLAGS
  with runtime.errors_for_humans():
    memory = parse_bytes(f.memory) if f.memory else None
    path = config_flags.get_config_filename(f["config"])
    values = check.check(path, f.config, f.topology, memory=memory)
    if f.json:
      pathlib.Path(f.json).write_text(json.dumps(values, indent=2) + "\n")
  return 1 if values["verdict"]["fits"] is False else 0


def parse_bytes(text: str) -> int:
  """`16GiB` -> 17179869184.

  Raises:
    ValueError: not a number with a unit.
  """
  found = re.fullmatch(rf"([0-9]+(?:\.[0-9]+)?) ?({'|'.join(_UNITS)})", text)
  if not found or not float(found[1]):
    raise ValueError(f"--memory is {text!r}, expected a number and a unit, such as 16GiB")
  return int(float(found[1]) * _UNITS[found[2]])


if __name__ == "__main__":
  define_flags()
  app.run(lambda argv: sys.exit(main(argv)), flags_parser=runtime.parse_flags)
