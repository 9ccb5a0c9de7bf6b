"""Evaluates a trained network on the whole evaluation split, every example exactly once.

  hrnet eval --config=quickstart --workdir=runs/quickstart
  hrnet eval --config=CONFIG --workdir=runs/a \\
    --config.eval.protocol.scales="(0.5, 1.0, 1.5)" --config.eval.protocol.flip=True
  hrnet eval --config=quickstart --workdir=runs/a --against=runs/b --export=results

Takes the best checkpoint of the workdir unless `--checkpoint` names another. Prints a table, and
writes scores (`metrics.json`, `examples.csv`, TensorBoard), charts and pictures of the first and of
the worst predictions to `WORKDIR/eval`; a comparison goes to `WORKDIR/eval/comparison`.
"""

import argparse
from collections.abc import Sequence

from hrnet_jax.cli import arguments


def add_arguments(parser: argparse.ArgumentParser) -> None:
  """Defines the command's flags."""
  arguments.add_config(parser)
  add = parser.add_argument
  add("--workdir", help="folder of the run; results go to its folder eval")
  add("--checkpoint", help="a checkpoint, or another run's workdir")
  add("--export", metavar="FOLDER", help="for result files in the data set's own form")
  add("--against", metavar="CHECKPOINT", help="a second checkpoint or workdir to compare with")
  arguments.add_cluster(parser)


def main(parser: argparse.ArgumentParser, argv: Sequence[str]) -> int:
  """Runs the command."""
  args = arguments.parse(parser, argv, required=["config", "workdir"])
  from hrnet_jax.distributed import cluster, runtime
  from hrnet_jax.evaluation import score

  runtime.set_up()
  with cluster.leaving_together(parser.prog):
    cluster.join(args.coordinator_address, args.num_processes, args.process_id, args.join_timeout)
    arguments.say_if_slow()
    score.score(
      args.config, args.workdir, args.checkpoint, export=args.export, against=args.against
    )
  return 0
