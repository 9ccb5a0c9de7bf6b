"""Trains a config.

  python train.py --config=configs/quickstart.py --workdir=runs/quickstart

The same command again goes on where the run stopped. `--config.key=value` changes a value.
"""

from collections.abc import Sequence

from absl import app, flags
from ml_collections import config_flags

from hrnet_jax.training import loop, runtime

_CONFIG = config_flags.DEFINE_config_file("config", None, "The experiment.", lock_config=True)
_WORKDIR = flags.DEFINE_string("workdir", None, "For checkpoints and logs; holds one run.")


def main(argv: Sequence[str]) -> None:
  """Runs the command."""
  if len(argv) > 1:
    raise app.UsageError(f"unexpected arguments: {argv[1:]}")
  runtime.set_up()
  with runtime.errors_for_humans():
    loop.train(_CONFIG.value, _WORKDIR.value)


if __name__ == "__main__":
  flags.mark_flags_as_required(["config", "workdir"])
  app.run(main, flags_parser=runtime.parse_flags)
