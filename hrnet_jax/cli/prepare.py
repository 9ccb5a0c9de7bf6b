"""Turns a folder of images and labels into records that training reads: files to ArrayRecord.

  hrnet prepare --dataset=cityscapes --source=FOLDER
  hrnet prepare --dataset=DATASET/my_birds --source=FOLDER

Every image is checked with its label. If some are not as they have to be, the command names them
and ends without a data set; with --skip_bad it leaves them out. A data set is then either complete
or not there: the command can be interrupted at any time and run again. Run again on a complete data
set it does nothing, unless the files in the folder have changed or --overwrite is given; the new
data set then replaces the old one once it is complete. Whoever reads the old one at that time reads
it to its end: it is kept beside the new one until --remove_old.

The name behind the slash is free: it keeps several folders apart, and is part of the name by which
`config.data.name` asks for the data set.
"""

import argparse
from collections.abc import Sequence
import signal
from types import FrameType

from hrnet_jax.cli import arguments

# That only some data sets have.
_OPTIONS = ("label_suffix", "missing", "follow_outside", "no_masks")


def add_arguments(parser: argparse.ArgumentParser) -> None:
  """Defines the command's flags."""
  from hrnet_jax import registry

  known = ", ".join(registry.dataset_builders())
  add = parser.add_argument
  add("--dataset", required=True, help=f"which data set: {known}, or NAME/VARIANT")
  add("--source", help="folder with the images and labels")
  add("--data_dir", help="where to write; $HRNET_JAX_DATA or ~/.cache/hrnet_jax/datasets")
  add("--overwrite", action="store_true", help="prepare again although nothing has changed")
  add("--workers", type=arguments.positive, help="threads; as many as processors by default")
  add(
    "--label_suffix",
    metavar="ENDING",
    help="labels are called as their photos with this at the end of the name, such as _mask",
  )
  add(
    "--missing",
    metavar="MARKS",
    help="what a table has for a point that was not annotated: nan (or an empty cell), minus_one "
    "(-1, -1), zero (0, 0), visibility (0 in columns v0, v1, ...); several with commas",
  )
  add("--skip_bad", action="store_true", help="leave out photos and annotations that are bad")
  add(
    "--follow_outside",
    action="store_true",
    help="let lists and annotations name files outside of the source folder, also through links",
  )
  add(
    "--no_masks",
    action="store_true",
    help="do not look at polygons and run lengths: for networks that need boxes alone",
  )
  add(
    "--remove_old",
    action="store_true",
    help="remove what was prepared under this name before; whoever reads that comes to an end",
  )
  add(
    "--verify",
    action="store_true",
    help="prepare nothing, but read all of the prepared data set and compare it with what was "
    "written; exit status 1 if a file is damaged",
  )
  several = arguments.comma_separated
  add("--plugins", type=several, default=[], help="modules that add data sets, with commas")


def main(parser: argparse.ArgumentParser, argv: Sequence[str]) -> int:
  """Runs the command."""
  args = arguments.parse(parser, argv)
  from hrnet_jax import registry
  from hrnet_jax.data import prepare

  registry.load_plugins(args.plugins)
  if args.verify:
    return arguments.complain(parser, prepare.verify(args.dataset, args.data_dir))
  # A plain kill cleans up just as Ctrl-C does.
  before = signal.signal(signal.SIGTERM, _interrupt)
  try:
    prepare.prepare(
      args.dataset,
      args.source,
      args.data_dir,
      overwrite=args.overwrite,
      workers=args.workers,
      skip_bad=args.skip_bad,
      remove_old=args.remove_old,
      **{key: vars(args)[key] for key in _OPTIONS if vars(args)[key]},
    )
  finally:
    signal.signal(signal.SIGTERM, before)
  return 0


def _interrupt(number: int, frame: FrameType | None) -> None:
  del number, frame
  raise KeyboardInterrupt
