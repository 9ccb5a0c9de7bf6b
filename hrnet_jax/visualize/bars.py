"""Scores of two networks beside each other: `(K,)` each -> picture `(h, w, 3)` uint8 RGB."""

from collections.abc import Sequence
import math
from typing import Any

import numpy as np

from hrnet_jax.visualize import chart
from hrnet_jax.visualize.palette import FIRST, INK, MUTED, RIGHT, SECOND, WRONG, Color

TRACK: Color = (236, 239, 242)  # behind the bars, from 0 to 100 %
_ROWS = 40  # pairs of bars below each other; more go into further columns
# Pixels: of a column, of the names in it, of the bars; of a row, and of the heading.
_COLUMN, _NAMES, _BARS = 660, 220, 250
_ROW, _HEAD = 34, 90
_LONGEST = 26  # letters of a name


def comparison_bars(
  first: Sequence[float],
  second: Sequence[float],
  row_names: Sequence[str],
  *,
  names: tuple[str, str] = ("A", "B"),
  title: str = "score, in %",
) -> np.ndarray:
  """Draws every score as two bars, those first where the second gains most.

  The means above are of the rows that both have a score for.

  Args:
    first: `(K,)` scores in [0, 1] of the first network; not finite where there is none.
    second: `(K,)` scores of the second one.
    row_names: what each score is of, such as the name of a class.
    names: of the networks.
    title: the first line.

  Returns:
    `(h, w, 3)` uint8 RGB; more than 40 rows stand in several columns.

  Raises:
    ValueError: scores and names differ in number, or a score is not in [0, 1].
  """
  scores = _checked_scores(first, second, row_names)
  gain = scores[1] - scores[0]
  order = np.argsort(np.where(np.isfinite(gain), -gain, np.inf), kind="stable")
  columns = max(1, math.ceil(len(order) / _ROWS))
  depth = math.ceil(len(order) / columns)
  width, height = columns * _COLUMN, _HEAD + max(depth, 1) * _ROW
  figure = chart.new_figure((width, height), layout="none")
  style = {"color": chart.to_hex(INK), "fontsize": 15, "va": "top"}
  figure.text(20 / width, 1 - 16 / height, chart.plain(title), **style)
  _legend(figure, scores, names, (16 / width, 1 - 46 / height))
  for column in range(columns):
    corner = (column * _COLUMN + _NAMES) / width, 0.1 * _ROW / height
    axes = figure.add_axes((*corner, _BARS / width, (height - _HEAD) / height))
    rows = order[column * depth : (column + 1) * depth]
    _draw_column(axes, scores[:, rows], [row_names[k] for k in rows], depth)
  return chart.draw(figure)


def _checked_scores(
  first: Sequence[float], second: Sequence[float], row_names: Sequence[str]
) -> np.ndarray:
  counts = len(first), len(second), len(row_names)
  if len(set(counts)) > 1:
    raise ValueError(f"{counts[0]} and {counts[1]} scores for {counts[2]} names")
  scores = np.array([first, second], np.float64)
  for which, k in np.argwhere((scores < 0) | (scores > 1)):
    raise ValueError(f"score {scores[which, k]} of {row_names[k]!r} is not in [0, 1]")
  return scores


def _legend(
  figure: Any, scores: np.ndarray, names: tuple[str, str], corner: tuple[float, float]
) -> None:
  from matplotlib.patches import Patch

  shared = scores[:, np.isfinite(scores).all(0)]  # the means are of the same rows
  patches = []
  for name, color, row in zip(names, (FIRST, SECOND), shared, strict=True):
    mean = f"mean {100 * row.mean():.1f}" if len(row) else "no score"
    patches.append(Patch(color=chart.to_hex(color), label=chart.plain(f"{name}: {mean}")))
  figure.legend(
    handles=patches,
    loc="upper left",
    bbox_to_anchor=corner,
    ncols=2,
    frameon=False,
    fontsize=11,
    labelcolor=chart.to_hex(MUTED),
    borderpad=0,
  )


def _draw_column(axes: Any, scores: np.ndarray, row_names: Sequence[str], depth: int) -> None:
  """Name, two bars over a pale track of 100 %, both values, their difference."""
  places = np.arange(len(row_names))
  for i, color in enumerate((FIRST, SECOND)):
    # Without antialiasing, so that the ends of bars are where the scores are.
    options = {"height": 0.28, "linewidth": 0, "antialiased": False}
    axes.barh(places + 0.32 * i - 0.16, 100, color=chart.to_hex(TRACK), **options)
    widths = 100 * np.nan_to_num(scores[i], posinf=0, neginf=0)
    axes.barh(places + 0.32 * i - 0.16, widths, color=chart.to_hex(color), **options)
    for place, score in zip(places, scores[i], strict=True):
      words = f"{100 * score:.1f}" if np.isfinite(score) else "none"
      _write(axes, 1.22 + 0.24 * i, place, words, color)
  for place, gain in zip(places, 100 * (scores[1] - scores[0]), strict=True):
    if math.isfinite(gain):
      small = abs(gain) < 0.05
      words, color = ("0.0", MUTED) if small else (f"{gain:+.1f}", RIGHT if gain > 0 else WRONG)
      _write(axes, 1.74, place, words, color)
  axes.set(xlim=(0, 100), ylim=(depth - 0.4, -0.6), xticks=[], yticks=places)
  axes.set_yticklabels([chart.plain(_shortened(name)) for name in row_names])
  axes.tick_params(left=False, labelcolor=chart.to_hex(INK), labelsize=11)
  axes.spines[:].set_visible(False)


def _write(axes: Any, x: float, y: float, words: str, color: Color) -> None:
  """Right-aligned words; x is a share of the axes' width, y a row."""
  axes.text(
    x, y, words, transform=axes.get_yaxis_transform(), ha="right", va="center", fontsize=11,
    color=chart.to_hex(color),
  )  # fmt: skip


def _shortened(name: str) -> str:
  return name if len(name) <= _LONGEST else name[: _LONGEST - 1] + "…"
