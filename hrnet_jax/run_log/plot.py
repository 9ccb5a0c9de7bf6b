"""Figures of `metrics.jsonl` of training runs -> one chart as PNG: what `hrnet plot` does."""

from collections.abc import Iterable, Mapping, Sequence
import math
import pathlib
from typing import Any

from hrnet_jax.errors import UserError
from hrnet_jax.run_log.log import METRICS, TRAINING, read_entries
from hrnet_jax.visualize.curves import learning_curves
from hrnet_jax.visualize.sheet import write_png

_LARGEST = 1e100  # value that is drawn; larger ones are as good as infinite
Curves = dict[str, tuple[list[int], list[float]]]


def draw(
  workdirs: Iterable[pathlib.Path],
  figures: Sequence[str],
  output: str | pathlib.Path,
  *,
  split: str | None = None,
  ylabel: str = "",
  title: str = "",
) -> int:
  """Draws a line for each run and figure over the steps, and returns how many there are.

  Args:
    workdirs: see `read`.
    figures: see `read`.
    split: see `read`.
    output: PNG file to write.
    ylabel: what the figures are; by default their names.
    title: the line above.

  Raises:
    ValueError, OSError: see `read`.
  """
  curves = read(workdirs, figures, split)
  write_png(output, learning_curves(curves, ylabel or ", ".join(figures), title=title))
  return len(curves)


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
      points = [(x["step"], _value(x[figure])) for x in entries if _is_number(x.get(figure))]
      if not points:
        raise UserError(f"{workdir / METRICS}: {_missing(entries, figure, split)}")
      steps, values = map(list, zip(*points, strict=True))
      curves[f"{name}, {figure}" if len(figures) > 1 else name] = (steps, values)
  return curves


def _is_number(x: Any) -> bool:
  return isinstance(x, int | float) and not isinstance(x, bool)


def _value(x: int | float) -> float:
  return math.inf if abs(x) > _LARGEST else float(x)


def _belongs(entry: Mapping[str, Any], split: str | None) -> bool:
  return entry["split"] != TRAINING if split is None else entry["split"] == split


def _missing(entries: Sequence[Mapping[str, Any]], figure: str, split: str | None) -> str:
  where = "evaluations" if split is None else f"split {split!r}"
  names = {k for x in entries for k, v in x.items() if _is_number(v)}
  known = ", ".join(sorted(names - {"step", "time"})) or "none"
  return f"no {figure!r} of {where}; there are: {known}"
