"""Charts of errors and of training: series of numbers -> picture `(h, w, 3)` uint8 RGB."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hrnet_jax.visualize import chart
from hrnet_jax.visualize.palette import FAINT, FIRST, INK, MUTED, SECOND, Color

# After the two colours of comparisons; also different in lightness and in dashes.
_COLOURS: tuple[Color, ...] = (
  FIRST,
  SECOND,
  (26, 152, 80),
  (106, 27, 97),
  (197, 27, 60),
  (64, 190, 200),
  (120, 94, 60),
  (101, 109, 118),
)
_DASHES = ("-", (0, (5, 1.6)), (0, (1.4, 1.4)))


def error_curve(
  errors: Mapping[str, Sequence[float]],
  threshold: float,
  xlabel: str,
  *,
  notes: Mapping[str, str] | None = None,
  title: str = "",
  size: tuple[int, int] = (900, 600),
) -> np.ndarray:
  """Draws cumulative error distributions: the share of images with an error of at most x.

  Args:
    errors: name of a set of images -> one error per image, in any order; an error that is not
      finite is a failure and never reached.
    threshold: the largest x, in the unit of the errors.
    xlabel: what the errors are, with their unit.
    notes: name -> a few words for the legend, such as the area under the curve.
    title: the line above.
    size: width and height in pixels.

  Raises:
    ValueError: no curve, a curve without images, or a threshold that is not positive.
  """
  if not threshold > 0:
    raise ValueError(f"the threshold of an error curve is positive, got {threshold}")
  _check_not_empty(errors, "images")
  figure, axes = _chart(size, title)
  for i, (name, values) in enumerate(errors.items()):
    x, y = _cumulative(np.asarray(values, np.float64), threshold)
    axes.plot(x, 100 * y, label=_label(name, notes), **_line(i))
  axes.set(xlim=(0, threshold), ylim=(0, 101), xlabel=xlabel, ylabel="share of the images, in %")
  return _picture(figure)


def learning_curves(
  curves: Mapping[str, tuple[Sequence[float], Sequence[float]]],
  ylabel: str,
  *,
  xlabel: str = "step",
  title: str = "",
  size: tuple[int, int] = (900, 600),
) -> np.ndarray:
  """Draws values over steps, one line for each run.

  Args:
    curves: name of a run -> its steps and its values; a value that is not finite leaves a gap.
    ylabel: what the values are, with their unit.
    xlabel: what the steps are.
    title: the line above.
    size: width and height in pixels.

  Raises:
    ValueError: no curve, a curve without points, or steps and values that differ in number.
  """
  for name, (steps, values) in curves.items():
    if len(steps) != len(values):
      raise ValueError(f"curve {name!r} has {len(steps)} steps but {len(values)} values")
  _check_not_empty({name: steps for name, (steps, _) in curves.items()}, "points")
  figure, axes = _chart(size, title)
  for i, (name, (steps, values)) in enumerate(curves.items()):
    points = "o" if len(steps) <= 40 else None
    axes.plot(steps, values, label=_label(name, None), marker=points, markersize=4, **_line(i))
  axes.set(xlabel=xlabel, ylabel=ylabel)
  axes.margins(x=0.02, y=0.06)
  return _picture(figure)


def _check_not_empty(curves: Mapping[str, Sequence[float]], what: str) -> None:
  if not curves:
    raise ValueError("a chart needs at least one curve")
  for name, values in curves.items():
    if not len(values):
      raise ValueError(f"curve {name!r} has no {what}")


def _cumulative(errors: np.ndarray, threshold: float) -> tuple[np.ndarray, np.ndarray]:
  """Corners of the steps from x = 0 to the threshold: each error lifts the curve by 1 / n."""
  reached = np.sort(errors[np.isfinite(errors) & (errors <= threshold)])
  shares = np.arange(len(reached) + 1) / len(errors)
  x = np.concatenate([[0.0], reached.repeat(2), [threshold]])
  return x, shares.repeat(2)


def _label(name: str, notes: Mapping[str, str] | None) -> str:
  note = (notes or {}).get(name, "")
  words = f"{name}: {note}" if note else name
  return chart.plain(words)


def _line(index: int) -> dict[str, Any]:
  colour = chart.to_hex(_COLOURS[index % len(_COLOURS)])
  return {"color": colour, "linestyle": _DASHES[index // len(_COLOURS) % len(_DASHES)]}


def _chart(size: tuple[int, int], title: str) -> tuple[Any, Any]:
  """A figure with one pair of axes in the look of the other pictures."""
  figure = chart.new_figure(size)
  axes = figure.add_subplot()
  axes.set_title(chart.plain(title), loc="left", color=chart.to_hex(INK), fontsize=14, pad=12)
  axes.grid(color=chart.to_hex(FAINT), linewidth=0.8)
  axes.set_axisbelow(True)
  axes.spines[["top", "right"]].set_visible(False)
  axes.spines[["left", "bottom"]].set_color(chart.to_hex(MUTED))
  axes.tick_params(colors=chart.to_hex(MUTED), labelsize=11)
  for axis in (axes.xaxis, axes.yaxis):
    axis.label.set(color=chart.to_hex(INK), fontsize=12)
  return figure, axes


def _picture(figure: Any) -> np.ndarray:
  """Adds the legend below the axes, where it hides nothing, and draws."""
  lines = figure.axes[0].get_lines()
  longest = max(len(line.get_label()) for line in lines)
  columns = max(1, min(len(lines), round(figure.get_figwidth() * 11) // (longest + 6)))
  figure.legend(
    loc="outside lower left",
    ncols=columns,
    fontsize=11,
    frameon=False,
    labelcolor=chart.to_hex(INK),
  )
  return chart.draw(figure)
