"""Draws how runs went: `metrics.jsonl` of training folders -> one chart as PNG.

  python -m hrnet_jax.plot --workdirs=runs/a,runs/b --figures=miou --output=curves.png
  python -m hrnet_jax.plot --workdirs=runs/a --split=train --figures=loss --output=loss.png

A line for each run and figure, over the steps. A run is called as its folder. Exit status: 0, or
1 after an error.
"""

from collections.abc import Iterable, Mapping, Sequence
import pathlib
import sys
from typing import Any

from absl import app, flags

from hrnet_jax.run_log.log import METRICS, read_entries
from hrnet_jax.visualize.curves import learning_curves
from hrnet_jax.visualize.sheet import write_png

TRAINING = "train"  # the split of what the train step says
Curves = dict[str, tuple[list[int], list[float]]]


def define_flags() -> None:
  """Defines the command's flags."""
  flags.DEFINE_list("workdirs", None, "Folders of train.py.", required=True)
  flags.DEFINE_list("figures", None, "Names in metrics.jsonl.", required=True)
  flags.DEFINE_string("output", None, "PNG file to write.", required=True)
  flags.DEFINE_string("split", None, "Whose figures: 'train', or by default those of evaluations.")
  flags.DEFINE_string("ylabel", "", "What the figures are; by default their names.")
  flags.DEFINE_string("title", "", "The line above.")


def main(argv: Sequence[str]) -> int:
  """Runs the command and returns its exit status."""
  values = flags.FLAGS
  try:
    if len(argv) > 1:
      raise ValueError(f"unexpected arguments {' '.join(argv[1:])}")
    curves = read(map(pathlib.Path, values.workdirs), values.figures, values.split)
    ylabel = values.ylabel or ", ".join(values.figures)
    write_png(values.output, learning_curves(curves, ylabel, title=values.title))
  except (ValueError, OSError) as error:
    print(f"plot: {error}", file=sys.stderr)
    return 1
  print(f"{len(curves)} curves: {values.output}")
  return 0


def read(workdirs: Iterable[pathlib.Path], figures: Sequence[str], split: str | None) -> Curves:
  """Steps and values by run and figure.

  Args:
    workdirs: of the runs.
    figures: names in the logs.
    split: whose figures; those of every split but `TRAINING` if it is None.

  Raises:
    ValueError: a run does not have one of the figures; the message says which it has.
    OSError: a log cannot be read.
  """
  curves, workdirs = {}, list(workdirs)
  names = [workdir.resolve().name for workdir in workdirs]
  for workdir, name in zip(workdirs, names, strict=True):
    name = name if names.count(name) == 1 else str(workdir)
    entries = [x for x in read_entries(workdir / METRICS) if _belongs(x, split)]
    for figure in figures:
      points = [(x["step"], x[figure]) for x in entries if isinstance(x.get(figure), int | float)]
      if not points:
        raise ValueError(f"{workdir / METRICS}: {_missing(entries, figure, split)}")
      steps, values = map(list, zip(*points, strict=True))
      curves[f"{name}, {figure}" if len(figures) > 1 else name] = (steps, values)
  return curves


def _belongs(entry: Mapping[str, Any], split: str | None) -> bool:
  return entry["split"] != TRAINING if split is None else entry["split"] == split


def _missing(entries: Sequence[Mapping[str, Any]], figure: str, split: str | None) -> str:
  where = "evaluations" if split is None else f"split {split!r}"
  names = {k for x in entries for k, v in x.items() if isinstance(v, int | float)}
  known = ", ".join(sorted(names - {"step", "time"})) or "none"
  return f"no {figure!r} of {where}; there are: {known}"


if __name__ == "__main__":
  define_flags()
  app.run(main)
