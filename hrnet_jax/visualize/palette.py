"""Colours of pictures: `n` classes -> `n` RGB colours far apart, and those of all else."""

from collections.abc import Sequence

import cv2
import numpy as np

Color = tuple[int, int, int]
Palette = Sequence[Color]

PAPER: Color = (255, 255, 255)
INK: Color = (31, 35, 40)
MUTED: Color = (101, 109, 118)
FAINT: Color = (216, 222, 228)
WRONG: Color = (227, 26, 28)
RIGHT: Color = (26, 152, 80)
HATCH: tuple[Color, Color] = (92, 97, 103), (58, 62, 67)

# Two things compared, "first" and "second": blue and orange stay apart for colour-blind eyes.
FIRST: Color = (33, 113, 181)
SECOND: Color = (241, 137, 19)


def distinct_palette(n: int) -> tuple[Color, ...]:
  """Makes `n` colours that are far apart to the eye; a longer palette begins with the shorter one.

  Colours are taken one by one from an RGB grid without its dull and its glaring ones, each the
  farthest in CIE Lab from those before it and from black and white (ignored pixels and paper).

  Raises:
    ValueError: `n` is negative or larger than the grid.
  """
  levels = np.linspace(0, 255, 18).round()
  grid = np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), axis=-1).reshape(-1, 3)
  lab = _to_lab(grid)
  lightness, chroma = lab[:, 0], np.hypot(lab[:, 1], lab[:, 2])
  pleasant = (lightness > 35) & (lightness < 88) & (chroma > 28) & (chroma < 82)
  grid, lab = grid[pleasant], lab[pleasant]
  if not 0 <= n <= len(grid):
    raise ValueError(f"a palette of {n} colours was asked for; 0 to {len(grid)} can be made")
  distance = np.full(len(grid), np.inf)
  last = _to_lab(np.array([[0, 0, 0], [255, 255, 255], [31, 119, 180]]))
  chosen = []
  for _ in range(n):
    distance = np.minimum(distance, np.linalg.norm(lab[:, None] - last, axis=-1).min(axis=1))
    best = int(distance.argmax())
    chosen.append(tuple(int(v) for v in grid[best]))
    last = lab[best : best + 1]
  return tuple(chosen)


def _to_lab(colors: np.ndarray) -> np.ndarray:
  return cv2.cvtColor((colors[None] / 255).astype(np.float32), cv2.COLOR_RGB2LAB)[0]
