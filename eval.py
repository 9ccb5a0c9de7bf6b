"""Evaluates a trained network on the whole evaluation split, every example exactly once.

  python eval.py --config=configs/quickstart.py --workdir=runs/quickstart

Takes the best checkpoint of the workdir unless `--checkpoint` names another. Prints a table, and
writes `metrics.json` and pictures of predictions to `WORKDIR/eval`.
"""

from collections.abc import Sequence

from absl import app, flags
from ml_collections import config_flags

from hrnet_jax.training import runtime, scoring

_CONFIG = config_flags.DEFINE_config_file("config", None, "The experiment.", lock_config=True)
_WORKDIR = flags.DEFINE_string("workdir", None, "Of the run; results go to its folder eval.")
_CHECKPOINT = flags.DEFINE_string("checkpoint", None, "A checkpoint, or another run's workdir.")


def main(argv: Sequence[str]) -> None:
  """Runs the command."""
  if len(argv) > 1:
    raise app.UsageError(f"unexpected arguments: {argv[1:]}")
  runtime.set_up()
  with runtime.errors_for_humans():
    scoring.score(_CONFIG.value, _WORKDIR.value, _CHECKPOINT.value)


if __name__ == "__main__":
  flags.mark_flags_as_required(["config", "workdir"])
  app.run(main, flags_parser=runtime.parse_flags)
