"""Runs a trained network on photos.

  hrnet predict --checkpoint=runs/quickstart --input=photo.jpg --output=predictions
  hrnet predict --checkpoint=runs/faces --input=photos/ --boxes=faces.csv --output=predictions

The task of the checkpoint decides how a photo is shown to the network and what is written: PNG
files with what was found for people, and PNG, CSV or JSON files for programs. A photo that cannot
be read does not stop the others; the exit status is then 1.
"""

import argparse
from collections.abc import Sequence
import pathlib

from hrnet_jax.cli import arguments


def add_arguments(parser: argparse.ArgumentParser) -> None:
  """Defines the command's flags."""
  add = parser.add_argument
  add("--checkpoint", required=True, help="a run's folder, or the folder of one of its steps")
  add("--input", required=True, help="a photo, or a folder of photos")
  add("--output", required=True, help="folder for the results; made if it does not exist")
  add(
    "--max_side",
    type=arguments.positive,
    default=2048,
    help="larger photos are reduced to this long side for the network (default %(default)s)",
  )
  add(
    "--batch_size",
    type=arguments.positive,
    default=1,
    help="inputs of one shape at a time (default %(default)s; more is faster on accelerators)",
  )
  add(
    "--boxes",
    help="for networks that look at one object at a time: a CSV or JSON file with photo, x0, y0, "
    "x1, y1 of each, in pixels; without it every photo is one",
  )
  add(
    "--probabilities",
    action="store_true",
    help="write how sure the network is as well: of every class for every pixel (NPZ) or photo "
    "(CSV), or of every point (CSV); not for networks that give scores anyway",
  )


def main(parser: argparse.ArgumentParser, argv: Sequence[str]) -> int:
  """Runs the command."""
  args = arguments.parse(parser, argv)
  from hrnet_jax.distributed import runtime
  from hrnet_jax.predict import folder

  runtime.set_up()
  arguments.say_if_slow()
  failed = folder.predict_folder(
    args.checkpoint,
    pathlib.Path(args.input),
    pathlib.Path(args.output),
    max_side=args.max_side,
    batch_size=args.batch_size,
    **({"boxes": args.boxes} if args.boxes else {}),
    **({"probabilities": True} if args.probabilities else {}),
  )
  return arguments.complain(parser, failed.values())
