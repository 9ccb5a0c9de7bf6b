"""Evaluates a trained network on the whole evaluation split, every example exactly once.

  python eval.py --config=configs/quickstart.py --workdir=runs/quickstart

Takes the best checkpoint of the workdir unless `--checkpoint` names another. Prints a table, and
writes scores (`metrics.json`, `examples.csv`, TensorBoard), charts and pictures of the first and of
the worst predictions to `WORKDIR/eval`.

  --config.eval.protocol.scales="(0.5, 1.0, 1.5)" --config.eval.protocol.flip=True
                          multi-scale testing, where the config has a protocol
  --export=FOLDER         predictions as the files that the data set's judges take
  --against=CHECKPOINT    a second network on the same examples: `WORKDIR/eval/comparison`
"""

from collections.abc import Sequence

from absl import app, flags
from ml_collections import config_flags

from hrnet_jax.distributed import cluster, runtime
from hrnet_jax.evaluation import score


def define_flags() -> None:
  """Defines the command's flags; only the command itself does, so that importing is free of it."""
  config_flags.DEFINE_config_file("config", None, "The experiment.", lock_config=True)
  flags.DEFINE_string("workdir", None, "Of the run; results go to its folder eval.")
  flags.DEFINE_string("checkpoint", None, "A checkpoint, or another run's workdir.")
  flags.DEFINE_string("export", None, "A folder for result files in the data set's own form.")
  flags.DEFINE_string("against", None, "A second checkpoint or workdir to compare with.")
  cluster.define_flags()
  flags.mark_flags_as_required(["config", "workdir"])


def main(argv: Sequence[str]) -> None:
  """Runs the command."""
  if len(argv) > 1:
    raise app.UsageError(f"unexpected arguments: {argv[1:]}")
  runtime.set_up()
  f = flags.FLAGS
  with cluster.leaving_together(), runtime.errors_for_humans():
    cluster.join()
    score.score(f.config, f.workdir, f.checkpoint, export=f.export, against=f.against)


if __name__ == "__main__":
  define_flags()
  app.run(main, flags_parser=runtime.parse_flags)
