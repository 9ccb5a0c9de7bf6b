"""Tries the operations of one kind in a process that has the library; `__main__` starts it.

LD_PRELOAD=faults.so python -m tests.faults.worker KIND --every=1 --result=rows.json
"""

import argparse
import dataclasses
import importlib
import json
import pathlib
import sys
import tempfile
import time
from typing import Any

KINDS = ("checkpoints", "data", "results")
# Seconds for which passing errors are waited out here: two more tries. It is 20 elsewhere.
PATIENCE = 0.3


class Clock:
  """The module `time` for those who wait patiently: only their waiting takes time, and is short."""

  def __init__(self) -> None:
    self._now = time.monotonic()

  def __getattr__(self, name: str) -> Any:
    return getattr(time, name)

  def monotonic(self) -> float:
    """Seconds that were waited."""
    return self._now

  def sleep(self, seconds: float) -> None:
    """Counts them, and waits a hundredth of them."""
    self._now += seconds
    time.sleep(seconds / 100)


def main() -> None:
  """Runs the command."""
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument("kind", choices=KINDS)
  parser.add_argument("--every", type=int, default=1)
  parser.add_argument("--only", default="", help="a part of the operation's name")
  parser.add_argument("--result", type=pathlib.Path, required=True)
  args = parser.parse_args()

  from absl import logging

  from hrnet_jax import files
  from hrnet_jax.checkpoint import manager
  from tests.faults import drive

  files.PATIENCE = PATIENCE
  files.time = manager.time = Clock()
  logging.set_verbosity(logging.ERROR)  # as commands do
  module = importlib.import_module(f"tests.faults.of_{args.kind}")
  rows, seconds = [], {}
  memory = pathlib.Path("/dev/shm")
  with tempfile.TemporaryDirectory(
    prefix="hrnet_faults_", dir=memory if memory.is_dir() else None
  ) as folder:
    for number, operation in enumerate(module.OPERATIONS):
      if args.only not in operation.name:
        continue
      began = time.monotonic()
      found = drive.run(operation, pathlib.Path(folder) / str(number), every=args.every)
      rows += map(dataclasses.asdict, found)
      seconds[operation.name] = round(time.monotonic() - began, 1)
      tries, failures = (sum(map(of, found)) for of in (_tries, _failures))
      print(
        f"{operation.name}: {tries} tries, {failures} failures, {seconds[operation.name]} s",
        file=sys.__stderr__,
        flush=True,
      )
  args.result.write_text(json.dumps({"rows": rows, "seconds": seconds}))


def _tries(row: object) -> int:
  return row.tries


def _failures(row: object) -> int:
  return len(row.failures)


if __name__ == "__main__":
  main()
