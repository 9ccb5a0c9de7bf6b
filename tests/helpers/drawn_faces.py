"""Drawn faces with landmarks: `rng, scheme -> (H, W, 3) uint8, (L, 2)`; for miniature data sets."""

from collections.abc import Callable
import dataclasses

import cv2
import numpy as np

# The face in its own frame: x from -1 to 1, y down, upright, equal on both sides.
_EYE, _BROW = np.array([0.48, -0.25]), np.array([0.48, -0.52])
_SIDES = (np.array([-1, 1]), np.array([1, 1]))


def arc(centre, radii, start: float, stop: float, count: int) -> np.ndarray:
  """Points on an ellipse, (count, 2); degrees, clockwise as seen in the image."""
  angle = np.deg2rad(np.linspace(start, stop, count))
  return np.asarray(centre) + np.stack([np.cos(angle), np.sin(angle)], 1) * radii


def _jaw(count):
  return arc((0, -0.2), (1, 1.3), 180, 0, count)


def _upper_brow(side, count=5):
  return arc(_BROW * side, (0.3, 0.14), 180, 360, count)


def _lower_brow(side):
  return arc(_BROW * side, (0.24, 0.03), 330, 210, 4)


def _eye(side, count):
  return arc(_EYE * side, (0.2, 0.1), 180, 540, count + 1)[:-1]


def _nose():
  bridge = np.stack([np.zeros(4), np.linspace(-0.25, 0.12, 4)], 1)
  return np.concatenate([bridge, arc((0, 0.24), (0.2, 0.06), 180, 0, 5)])


def _mouth():
  lips = arc((0, 0.6), (0.36, 0.17), 180, 540, 13)[:-1]
  return np.concatenate([lips, arc((0, 0.6), (0.27, 0.05), 180, 540, 9)[:-1]])


def points68() -> np.ndarray:
  """The scheme of 300W."""
  brows, eyes = [_upper_brow(s) for s in _SIDES], [_eye(s, 6) for s in _SIDES]
  return np.concatenate([_jaw(17), *brows, _nose(), *eyes, _mouth()])


def points98() -> np.ndarray:
  """The scheme of WFLW."""
  brows = [brow(s) for s in _SIDES for brow in (_upper_brow, _lower_brow)]
  eyes = [_eye(s, 8) for s in _SIDES]
  pupils = [_EYE * _SIDES]
  return np.concatenate([_jaw(33), *brows, _nose(), *eyes, _mouth(), *pupils])


def points29() -> np.ndarray:
  """The scheme of COFW."""
  left = {"outer": (-0.78, -0.52), "inner": (-0.18, -0.52), "top": (-0.48, -0.66)}
  bottom, corner, inner = (-0.48, -0.5), (-0.68, -0.25), (-0.28, -0.25)
  lids = [(-0.48, -0.35), (-0.48, -0.15)]

  def both(point):
    return [np.array(point) * [1, 1], np.array(point) * [-1, 1]]

  brows = [*both(left["outer"]), *both(left["inner"])]
  tops, bottoms = both(left["top"]), both(bottom)
  brows += [tops[0], bottoms[0], tops[1], bottoms[1]]
  eyes = [*both(corner), *both(inner), *lids, *(np.array(lids) * [-1, 1])]
  nose = [*both((-0.2, 0.24)), (0, 0.12), (0, 0.3)]
  lips = [(0, y) for y in (0.43, 0.55, 0.65, 0.77)]
  return np.array(
    [*brows, *eyes, *both(_EYE * [-1, 1]), *nose, *both((-0.36, 0.6)), *lips, (0, 1.1)]
  )


def points19() -> np.ndarray:
  """The scheme of AFLW."""
  brows = [arc(_BROW * s, (0.3, 0.14), 180, 360, 3) for s in _SIDES]
  eyes = [_EYE * s + [[-0.2, 0], [0, 0], [0.2, 0]] for s in _SIDES]
  rest = [(-0.2, 0.24), (0, 0.12), (0.2, 0.24), (-0.36, 0.6), (0, 0.6), (0.36, 0.6), (0, 1.1)]
  return np.concatenate([*brows, *eyes, rest])


SCHEMES: dict[int, Callable[[], np.ndarray]] = {
  19: points19,
  29: points29,
  68: points68,
  98: points98,
}


@dataclasses.dataclass(frozen=True)
class Pose:
  """Where a face is: its centre and half its width in pixels, and a turn in degrees."""

  centre: tuple[float, float]
  radius: float
  turn: float = 0.0

  def place(self, points: np.ndarray) -> np.ndarray:
    """Points (L, 2) of the face's own frame in the image."""
    cos, sin = np.cos(np.deg2rad(self.turn)), np.sin(np.deg2rad(self.turn))
    return np.add(self.centre, self.radius * points @ np.array([[cos, sin], [-sin, cos]]))


def background(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
  """Blotches of two colours, uint8 (height, width, 3)."""
  grid = rng.uniform(40, 215, (4, 5, 3)).astype(np.float32)
  return cv2.resize(grid, size[::-1], interpolation=cv2.INTER_CUBIC).clip(0, 255).astype(np.uint8)


def draw(image: np.ndarray, rng: np.random.Generator, pose: Pose) -> None:
  """Paints a face into an RGB image."""
  skin = rng.uniform(0.45, 1.0) * np.array([240, 200, 170]) * rng.uniform(0.9, 1, 3)
  head = np.concatenate([_jaw(33), arc((0, -0.2), (1, 0.95), 0, -180, 33)])
  _fill(image, pose.place(head), skin)
  for side in _SIDES:
    brow = np.concatenate([_upper_brow(side, 9), _lower_brow(side)])
    _fill(image, pose.place(brow), skin * 0.3)
    _fill(image, pose.place(_eye(side, 24)), (250, 250, 250))
    _fill(image, pose.place(arc(_EYE * side, (0.08, 0.08), 0, 360, 24)), (30, 40, 60))
  _fill(image, pose.place(_nose()[[0, 4, 6, 8]]), skin * 0.85)
  _fill(image, pose.place(_mouth()[:12]), (190, 60, 70))
  _fill(image, pose.place(_mouth()[12:]), (60, 10, 20))


def random_pose(rng: np.random.Generator, size: tuple[int, int]) -> Pose:
  """A face that lies in an image of `size` (height, width), up to 15 degrees from upright."""
  radius = rng.uniform(0.24, 0.32) * min(size)
  low, high = np.array([1.3, 1.4]) * radius, np.array(size[::-1]) - np.array([1.3, 1.4]) * radius
  x, y = rng.uniform(low, high)
  return Pose((float(x), float(y)), float(radius), float(rng.uniform(-15, 15)))


def _fill(image, points, colour):
  fixed = np.rint(points * 16).astype(np.int32)
  cv2.fillPoly(image, [fixed], tuple(float(c) for c in colour), cv2.LINE_AA, shift=4)
