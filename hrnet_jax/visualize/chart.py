"""The look that all charts share: a figure of Matplotlib -> picture `(h, w, 3)` uint8 RGB."""

from typing import Any

import numpy as np

from hrnet_jax.visualize.palette import PAPER, Color

_DPI = 100


def new_figure(size: tuple[int, int], layout: str = "constrained") -> Any:
  """An empty figure on white paper, sized in pixels.

  Args:
    size: width and height.
    layout: Matplotlib's engine that places what is in it; `none` leaves it where it is put.
  """
  from matplotlib.figure import Figure  # slow to import, and only charts need it

  inches = tuple(pixels / _DPI for pixels in size)
  return Figure(figsize=inches, dpi=_DPI, facecolor=to_hex(PAPER), layout=layout)


def draw(figure: Any) -> np.ndarray:
  """The figure's pixels."""
  from matplotlib.backends.backend_agg import FigureCanvasAgg

  canvas = FigureCanvasAgg(figure)
  canvas.draw()
  return np.array(canvas.buffer_rgba())[..., :3]


def to_hex(color: Color) -> str:
  """A colour as Matplotlib takes it."""
  return "#{:02x}{:02x}{:02x}".format(*color)


def plain(words: str) -> str:
  """Words that Matplotlib does not read as a formula."""
  return words.replace("$", r"\$")
