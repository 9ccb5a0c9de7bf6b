"""Draws how runs went: `metrics.jsonl` of training folders -> one chart as PNG.

  hrnet plot --workdirs=runs/a,runs/b --figures=mean_iou --output=curves.png
  hrnet plot --workdirs=runs/a --split=train --figures=loss --output=loss.png

A line for each run and figure, over the steps. A run is called as its folder.
"""

import argparse
from collections.abc import Sequence
import pathlib

from hrnet_jax.cli import arguments


def add_arguments(parser: argparse.ArgumentParser) -> None:
  """Defines the command's flags."""
  add, several = parser.add_argument, arguments.comma_separated
  add("--workdirs", type=several, required=True, help="folders of runs, with commas")
  add("--figures", type=several, required=True, help="names in metrics.jsonl, with commas")
  add("--output", required=True, help="PNG file to write")
  add("--split", help="whose figures: 'train', or by default those of evaluations")
  add("--ylabel", default="", help="what the figures are; by default their names")
  add("--title", default="", help="the line above")


def main(parser: argparse.ArgumentParser, argv: Sequence[str]) -> int:
  """Runs the command."""
  args = arguments.parse(parser, argv)
  from hrnet_jax.run_log import plot

  count = plot.draw(
    [pathlib.Path(x) for x in args.workdirs],
    args.figures,
    args.output,
    split=args.split,
    ylabel=args.ylabel,
    title=args.title,
  )
  print(f"{count} curves: {args.output}")
  return 0
