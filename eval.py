"""Evaluates a trained network on the whole evaluation split, every example exactly once.

  python eval.py --config=configs/quickstart.py --workdir=runs/quickstart

Takes the best checkpoint of the workdir unless `--checkpoint` names another. Prints a table, and
writes `metrics.json` and pictures of predictions to `WORKDIR/eval`.
"""

from collections.abc import Sequence

from absl import app, flags
from ml_collections import config_flags

from hrnet_jax.training import runtime, scoring


def define_flags() -> None:
  """Defines the command's flags; only the command itself does, so that importing is free of it."""
  config_flags.DEFINE_config_file("config", None, "The experiment.", lock_config=True)
  flags.DEFINE_string("workdir", None, "Of the run; results go to its folder eval.")
  flags.DEFINE_string("checkpoint", None, "A checkpoint, or another run's workdir.")
  flags.mark_flags_as_required(["config", "workdir"])


def main(argv: Sequence[str]) -> None:
  """Runs the command."""
  if len(argv) > 1:
    raise app.UsageError(f"unexpected arguments: {argv[1:]}")
  runtime.set_up()
  f = flags.FLAGS
  with runtime.errors_for_humans():
    scoring.score(f.config, f.workdir, f.checkpoint)


if __name__ == "__main__":
  define_flags()
  app.run(main, flags_parser=runtime.parse_flags)
