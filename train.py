"""Trains a config.

  python train.py --config=configs/quickstart.py --workdir=runs/quickstart

The same command again goes on where the run stopped. `--config.key=value` changes a value.
"""

from collections.abc import Sequence

from absl import app, flags
from ml_collections import config_flags

from hrnet_jax.distributed import cluster, runtime
from hrnet_jax.training import loop


def define_flags() -> None:
  """Defines the command's flags; only the command itself does, so that importing is free of it."""
  config_flags.DEFINE_config_file("config", None, "The experiment.", lock_config=True)
  flags.DEFINE_string("workdir", None, "For checkpoints and logs; holds one run.")
  cluster.define_flags()
  flags.mark_flags_as_required(["config", "workdir"])


def main(argv: Sequence[str]) -> None:
  """Runs the command."""
  if len(argv) > 1:
    raise app.UsageError(f"unexpected arguments: {argv[1:]}")
  runtime.set_up()
  with cluster.leaving_together(), runtime.errors_for_humans():
    cluster.join()
    loop.train(flags.FLAGS.config, flags.FLAGS.workdir)


if __name__ == "__main__":
  define_flags()
  app.run(main, flags_parser=runtime.parse_flags)
