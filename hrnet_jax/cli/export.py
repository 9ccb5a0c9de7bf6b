"""Writes a trained network as a program that needs JAX alone.

  hrnet export --checkpoint=runs/quickstart --output=network.jaxexport
  hrnet export --checkpoint=runs/quickstart --output=folder --size=512x1024 --platforms=cuda,cpu

The program is StableHLO, written with `jax.export`: one file that runs on CPUs, GPUs and TPUs.
Beside it lies a JSON file of the same name with what people and other programs have to know: names
of classes, the form of inputs and outputs, versions, the file's SHA-256. Such a file is a program:
load only those that you trust. Before anything is written the program is
read back and compared with the network on random images; where they differ, the exit status is 1.
"""

import argparse
from collections.abc import Sequence

from hrnet_jax.cli import arguments


def add_arguments(parser: argparse.ArgumentParser) -> None:
  """Defines the command's flags."""
  from hrnet_jax.export import artefact, program

  add = parser.add_argument
  add("--checkpoint", required=True, help="a run's folder, or the folder of one of its steps")
  add("--output", required=True, help=f"a file, or a folder for {artefact.NAME}{artefact.SUFFIX}")
  add("--overwrite", action="store_true", help="replace files that are there")
  add(
    "--outputs",
    choices=program.OUTPUTS,
    default=program.OUTPUTS[0],
    help="the task's predictions, or what the network returns (default %(default)s)",
  )
  add(
    "--size",
    type=_size,
    help="one size for all images, such as 512x1024 (height x width); by default sizes stay open "
    "as far as the task allows",
  )
  add(
    "--batch_size",
    type=_count,
    default=0,
    help="one number for all batches; 0 leaves it open (default %(default)s)",
  )
  add(
    "--platforms",
    type=_platforms,
    default=program.PLATFORMS,
    help=f"where it is to run, with commas; default {','.join(program.PLATFORMS)}",
  )


def main(parser: argparse.ArgumentParser, argv: Sequence[str]) -> int:
  """Runs the command."""
  args = arguments.parse(parser, argv)
  from hrnet_jax.distributed import runtime
  from hrnet_jax.export import artefact

  runtime.set_up()
  wrong = artefact.export_network(
    args.checkpoint,
    args.output,
    overwrite=args.overwrite,
    outputs=args.outputs,
    size=args.size,
    batch_size=args.batch_size,
    platforms=args.platforms,
  )
  return arguments.complain(parser, [f"nothing was written: {'; '.join(wrong)}"] if wrong else [])


def _size(text: str) -> tuple[int, int]:
  parts = text.lower().split("x")
  if len(parts) != 2 or not all(x.isdecimal() and int(x) for x in parts):
    raise argparse.ArgumentTypeError(f"{text!r} is no size; expected HEIGHTxWIDTH, as in 512x1024")
  return int(parts[0]), int(parts[1])


def _count(text: str) -> int:
  if not text.isdecimal():
    raise argparse.ArgumentTypeError(f"{text!r} is not a number of images, or 0 for any")
  return int(text)


def _platforms(text: str) -> tuple[str, ...]:
  from hrnet_jax.export import program

  names = tuple(text.split(","))
  if unknown := sorted(set(names) - {*program.PLATFORMS, "rocm"}):
    raise argparse.ArgumentTypeError(
      f"unknown platform {unknown[0]!r}; known: {', '.join(program.PLATFORMS)}, rocm"
    )
  return names
