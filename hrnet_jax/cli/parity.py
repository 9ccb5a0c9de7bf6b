"""Certifies that our network computes what PyTorch does: config and weights -> JSON and a table.

  hrnet parity --config=CONFIG --torch=FILE.pth --output=FOLDER

Both networks get the weights of the file and the same seeded images; every part of theirs is
compared, in float32 and in bfloat16. Needs PyTorch: pip install 'torch>=2.10'. The numbers go
to the terminal and, with --output, to FOLDER/parity.json and FOLDER/parity.md.

The networks agree about any weights, also about those that were trained with another interpolation
than config.model.upsample names. Where the reference has one interpolation for a task, its network
is compared with that; elsewhere --upsample names what the weights were trained with. --abn is for
weights trained with in-place ABN, as in `hrnet convert`.

Exit status: 0 the networks agree, 1 they do not, or the input has a mistake.
"""

import argparse
from collections.abc import Sequence

from hrnet_jax.cli import arguments
from hrnet_jax.ops.resize import Resize


def add_arguments(parser: argparse.ArgumentParser) -> None:
  """Defines the command's flags."""
  arguments.add_config(parser)
  add = parser.add_argument
  add("--torch", metavar="FILE", help="the reference's weights")
  add("--output", metavar="FOLDER", help="for parity.json and parity.md")
  add("--height", type=arguments.positive, help="of the images; the task has a default")
  add("--width", type=arguments.positive, help="of the images; the task has a default")
  add("--upsample", choices=[*map(str, Resize)], help="what the weights were trained with")
  add("--entry", default="", help="which weights of the file, such as state_dict_ema")
  add("--abn", action="store_true", help="the file was trained with in-place ABN")


def main(parser: argparse.ArgumentParser, argv: Sequence[str]) -> int:
  """Runs the command."""
  args = arguments.parse(parser, argv, required=["config", "torch"])
  if (args.height is None) != (args.width is None):
    parser.error("--height and --width go together")
  from hrnet_jax.distributed import runtime
  from hrnet_jax.parity import report, run

  runtime.set_up()
  result = run.certify_file(
    args.config.model.to_dict(),
    args.torch,
    size=None if args.height is None else (args.height, args.width),
    upsample=args.upsample,
    abn=args.abn,
    entry=args.entry,
  )
  print(report.render(result))
  if args.output:
    run.write_reports(result, args.output)
  return 0 if result["passed"] else 1
