"""Lists the published networks with parameters and multiply-accumulates.

  hrnet models
  hrnet models TASK

Prints one row for each variant of the tasks named, of all tasks without names.
"""

import argparse
from collections.abc import Sequence

from hrnet_jax.cli import arguments


def add_arguments(parser: argparse.ArgumentParser) -> None:
  """Defines the command's arguments."""
  parser.add_argument("tasks", nargs="*", metavar="TASK", help="which networks; all by default")


def main(parser: argparse.ArgumentParser, argv: Sequence[str]) -> int:
  """Runs the command."""
  args = arguments.parse(parser, argv)
  from hrnet_jax.models import summary

  known = summary.tasks()
  if unknown := [name for name in args.tasks if name not in known]:
    parser.error(f"unknown task {unknown[0]!r}; known: {', '.join(known)}")
  print(f"{'task':<16}{'variant':<14}{'input':>12}{'parameters':>14}{'GMACs':>10}")
  for task in args.tasks or known:
    for variant in summary.variants():
      s = summary.summarize(task, variant)
      size = f"{s.size[0]}x{s.size[1]}"
      row = f"{task:<16}{variant:<14}{size:>12}{s.parameters:>14,}{s.macs / 1e9:>10.3f}"
      print(row, flush=True)
  return 0
