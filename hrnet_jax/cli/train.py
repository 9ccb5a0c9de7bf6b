"""Trains a config.

  hrnet train --config=quickstart --workdir=runs/quickstart
  hrnet train --config=my_config.py:argument --workdir=runs/own \\
    --config.init_from=runs/quickstart --config.train.batch_size=8

The same command again goes on where the run stopped. `--config.key=value` changes a value; one that
changes the training of a run under way needs `--allow_changes=KEYS`.
"""

import argparse
from collections.abc import Sequence

from hrnet_jax.cli import arguments


def add_arguments(parser: argparse.ArgumentParser) -> None:
  """Defines the command's flags."""
  arguments.add_config(parser)
  parser.add_argument("--workdir", help="folder for checkpoints and logs; holds one run")
  parser.add_argument(
    "--allow_changes",
    type=arguments.comma_separated,
    default=[],
    metavar="KEYS",
    help="keys of the config that may have another value than the workdir's run began with, such "
    "as optimizer.learning_rate,train.steps; the change is noted in manifest.json",
  )
  arguments.add_cluster(parser)


def main(parser: argparse.ArgumentParser, argv: Sequence[str]) -> int:
  """Runs the command."""
  args = arguments.parse(parser, argv, required=["config", "workdir"])
  from hrnet_jax.distributed import cluster, runtime
  from hrnet_jax.training import loop

  runtime.set_up()
  with cluster.leaving_together(parser.prog):
    cluster.join(args.coordinator_address, args.num_processes, args.process_id, args.join_timeout)
    arguments.say_if_slow()
    loop.train(args.config, args.workdir, allow_changes=args.allow_changes)
  return 0
