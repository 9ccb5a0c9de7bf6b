"""Converts weights of the PyTorch reference for this package, and back: file <-> checkpoint.

  hrnet convert --config=CONFIG --torch=FILE.pth --output=FOLDER
  hrnet convert --checkpoint=FOLDER --to_torch=FILE.pth

The first makes a folder that `hrnet eval --checkpoint`, `hrnet predict --checkpoint` and
`config.init_from` take. The config says which network it is (`--config.model.variant=w48` and the
like change it) and which data set gives the classes their names. FILE is what the reference, timm
or mmdet saved, weights alone or with the state of a training around them, or `.npz` or
`.safetensors`. All are read without PyTorch, as data: nothing in a file is ever run.

Every tensor must fit: what is missing, left over or of another shape ends the command with a list.
`--reinit=head` gives a part up, so that the weights of another task or of other classes can be
used: it is initialised, and what was read for it is listed. Several parts are separated by commas;
`head/classify` is the last layer alone.

`--abn` is for networks trained with in-place ABN under PyTorch 0.4 (the reference's branch master
and files named *_torch04), which scale by |weight| + 1e-5. The file does not say so itself.

The second writes the state_dict of the reference's network, for which PyTorch has to be installed,
or with FILE.npz or FILE.safetensors the arrays alone.
"""

import argparse
from collections.abc import Sequence

from hrnet_jax.cli import arguments

_WAYS = ("config", "torch", "output"), ("checkpoint", "to_torch")


def add_arguments(parser: argparse.ArgumentParser) -> None:
  """Defines the command's flags."""
  arguments.add_config(parser)
  add = parser.add_argument
  add("--torch", metavar="FILE", help="to convert")
  add("--output", metavar="FOLDER", help="for the result; new or empty")
  add(
    "--reinit",
    type=arguments.comma_separated,
    default=[],
    metavar="PARTS",
    help="to initialise instead, such as head",
  )
  add("--abn", action="store_true", help="the file was trained with in-place ABN")
  add("--entry", default="", help="which weights of the file, such as state_dict_ema")
  add("--checkpoint", help="a run's folder or a checkpoint, to write")
  add("--to_torch", metavar="FILE", help="to write it to")


def main(parser: argparse.ArgumentParser, argv: Sequence[str]) -> int:
  """Runs the command."""
  args = arguments.parse(parser, argv)
  given = {name for way in _WAYS for name in way if getattr(args, name) is not None}
  read, write = (given == set(way) for way in _WAYS)
  if not (read or (write and not args.reinit and not args.abn)):
    parser.error(
      "give --config, --torch and --output (with --reinit and --abn as needed) to convert a "
      "file of weights, or --checkpoint and --to_torch to write one"
    )
  from hrnet_jax.convert import checkpoints
  from hrnet_jax.distributed import runtime

  runtime.set_up()
  if read:
    checkpoints.from_file(
      args.config,
      args.torch,
      args.output,
      reinit=args.reinit,
      abn=args.abn,
      entry=args.entry,
    )
  else:
    checkpoints.to_file(args.checkpoint, args.to_torch)
  return 0
