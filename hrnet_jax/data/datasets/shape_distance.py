"""Outlines of the shapes as signed distances: `(x, y) (H, W) -> (H, W)` pixels, inside negative."""

import dataclasses

import numpy as np

CLASS_NAMES = ("ground", "disc", "box", "triangle", "star", "kite")
KITE = CLASS_NAMES.index("kite")
KEYPOINT_NAMES = ("nose", "left", "right", "tail", "centre")
FLIP_PAIRS = ((1, 2),)


def _star_points():
  angle = np.arange(10) * np.pi / 5 - np.pi / 2
  radius = np.where(np.arange(10) % 2, 0.48, 1.15)
  return np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1)


_KITE_KEYPOINTS = np.array([[0, -0.85], [-0.7, -0.2], [0.7, -0.2], [0, 1.15], [0, -0.2]])
_POLYGONS = {
  "triangle": np.array([[0, -1.15], [1.05, 0.8], [-1.05, 0.8]]),
  "star": _star_points(),
  "kite": _KITE_KEYPOINTS[[0, 2, 3, 1]],
}


@dataclasses.dataclass(frozen=True)
class Outline:
  """A shape in the image.

  Attributes:
    class_id: index into `CLASS_NAMES`.
    centre: x, y in pixels; whole numbers are pixel centres.
    radius: about half the length in pixels.
    aspect: width to length, of the box and the triangle.
    angle: clockwise rotation in radians; a kite at 0 points its nose up.
  """

  class_id: int
  centre: tuple[float, float]
  radius: float
  aspect: float
  angle: float

  @property
  def reach(self) -> float:
    """No point of the outline is further from the centre than this."""
    return 1.35 * self.radius

  def to_local(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Image coordinates in the shape's own frame: not rotated, in pixels from the centre."""
    dx, dy = x - np.float32(self.centre[0]), y - np.float32(self.centre[1])
    cos, sin = np.float32(np.cos(self.angle)), np.float32(np.sin(self.angle))
    return cos * dx + sin * dy, cos * dy - sin * dx

  def distance(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Signed distance to the outline in pixels, float32, negative inside."""
    u, v = self.to_local(x, y)
    name = CLASS_NAMES[self.class_id]
    if name == "disc":
      return np.hypot(u, v) - np.float32(self.radius)
    if name == "box":
      return _box_distance(u, v, 0.95 * self.radius * self.aspect, 0.95 * self.radius)
    points = _POLYGONS[name] * self.radius
    if name == "triangle":
      points = points * [self.aspect, 1.0]
    return _polygon_distance(u, v, points.astype(np.float32))

  def keypoints(self) -> np.ndarray:
    """The kite's keypoints in the image, float32 (5, 2) x, y; zeros for all other shapes."""
    if self.class_id != KITE:
      return np.zeros((len(KEYPOINT_NAMES), 2), np.float32)
    cos, sin = np.cos(self.angle), np.sin(self.angle)
    rotation = np.array([[cos, sin], [-sin, cos]])
    return (self.centre + self.radius * _KITE_KEYPOINTS @ rotation).astype(np.float32)


def _box_distance(u, v, half_width, half_length):
  """A rectangle with slightly rounded corners."""
  corner = np.float32(0.12 * half_length)
  du = np.abs(u) - np.float32(half_width) + corner
  dv = np.abs(v) - np.float32(half_length) + corner
  outside = np.hypot(np.maximum(du, 0), np.maximum(dv, 0))
  return outside + np.minimum(np.maximum(du, dv), 0) - corner


def _polygon_distance(u, v, points):
  """Distance to the nearest edge; the sign from how many edges a ray crosses."""
  squared = np.full(u.shape, np.inf, np.float32)
  inside = np.zeros(u.shape, bool)
  for (au, av), (bu, bv) in zip(points, np.roll(points, -1, 0), strict=True):
    eu, ev = bu - au, bv - av
    wu, wv = u - au, v - av
    along = np.clip((wu * eu + wv * ev) / (eu * eu + ev * ev), 0, 1)
    squared = np.minimum(squared, (wu - eu * along) ** 2 + (wv - ev * along) ** 2)
    beside = eu * wv - ev * wu
    inside ^= ((av > v) != (bv > v)) & ((beside > 0) == (ev > 0))
  return np.sqrt(squared) * np.where(inside, np.float32(-1), np.float32(1))
