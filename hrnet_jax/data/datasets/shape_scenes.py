"""Photo-like scenes of shapes on textured ground: `rng -> (H, W, 3)`, masks, boxes, keypoints.

Patterns, lightness and ground are drawn at random; hues lean to the class, so that a small network
learns within minutes. Only kites carry spars and a dark nose, which tell the keypoints apart.
"""

import dataclasses

import cv2
import numpy as np

from hrnet_jax.data.datasets import shape_distance

# Degrees, by class; the ground has none of its own.
_HUES = (0.0, 0.0, 210.0, 62.0, 285.0, 135.0)
_MIN_IN_FRAME = 0.75  # share of a shape that has to lie in the image
_MIN_VISIBLE = 0.6  # share of a shape that has to be seen; less could be another shape's corner


@dataclasses.dataclass(frozen=True)
class Scene:
  """A drawn scene with N shapes.

  Attributes:
    image: uint8 (H, W, 3) RGB.
    label: uint8 (H, W), class of each pixel, 0 is the ground.
    instances: uint8 (H, W), 0 is the ground and i + 1 the i-th shape.
    boxes: float32 (N, 4) x0 y0 x1 y1 of the visible part, in pixel edges: x1 - x0 is the width.
    classes: int32 (N,).
    keypoints: float32 (N, 5, 2) x, y, whole numbers being pixel centres; zeros unless a kite.
    visible: bool (N, 5), whether a keypoint lies in the image and in front.
  """

  image: np.ndarray
  label: np.ndarray
  instances: np.ndarray
  boxes: np.ndarray
  classes: np.ndarray
  keypoints: np.ndarray
  visible: np.ndarray


def draw(rng: np.random.Generator, size: int = 128) -> Scene:
  """Draws a scene; the same generator state gives the same scene."""
  shapes = _arrange(rng, size)
  return _annotate(shapes, _photograph(rng, _paint(rng, shapes, size)), size)


def _arrange(rng, size):
  """Shapes from back to front, at least one of them a kite, none of them mostly hidden."""
  while True:
    count = rng.integers(3, 7)
    classes = rng.integers(1, shape_distance.KITE, count)
    classes[rng.random(count) < 0.1] = shape_distance.KITE
    classes[rng.integers(count)] = shape_distance.KITE
    placed = []
    for class_id in classes:
      for _ in range(10):
        if _fits(shape := _random_outline(rng, int(class_id), size), placed, size):
          placed.append(shape)
          break
    if any(shape.class_id == shape_distance.KITE for shape in placed):
      return placed


def _random_outline(rng, class_id, size):
  kite = class_id == shape_distance.KITE
  small = not kite and rng.random() < 0.06
  radius = rng.uniform(9, 14) if small else rng.uniform(17, 32)
  # Kites stay within 60 degrees of upright, as faces do.
  angle = rng.uniform(-np.pi / 3, np.pi / 3) if kite else rng.uniform(-np.pi, np.pi)
  centre = rng.uniform(0.04 * size, 0.96 * size, 2)
  return shape_distance.Outline(
    class_id, (centre[0], centre[1]), radius * size / 128, rng.uniform(0.7, 1.0), angle
  )


def _fits(shape, placed, size):
  x, y = _window(shape, None)
  own = shape.distance(x, y) < 0
  in_frame = own & (x >= 0) & (x < size) & (y >= 0) & (y < size)
  if in_frame.sum() < _MIN_IN_FRAME * own.sum():
    return False
  for index, other in enumerate(placed):
    if np.hypot(*np.subtract(shape.centre, other.centre)) > shape.reach + other.reach:
      continue
    x, y = _window(other, None)
    whole = other.distance(x, y) < 0
    seen = whole & (x >= 0) & (x < size) & (y >= 0) & (y < size)
    for above in [*placed[index + 1 :], shape]:
      seen &= above.distance(x, y) >= 0
    if seen.sum() < _MIN_VISIBLE * whole.sum():
      return False
  return True


def _window(shape, size, margin=2.0):
  """Coordinates of the pixels around a shape, cut at the image's border unless `size` is None."""
  reach = shape.reach + margin
  low = [int(np.floor(c - reach)) for c in shape.centre]
  high = [int(np.ceil(c + reach)) + 1 for c in shape.centre]
  if size is not None:
    low, high = [max(0, v) for v in low], [min(size, v) for v in high]
  x, y = (np.arange(a, b, dtype=np.float32) for a, b in zip(low, high, strict=True))
  return np.meshgrid(x, y)


def _paint(rng, shapes, size):
  """Float32 (H, W, 3), about 0 to 1: the ground, then each shape with its shadow."""
  canvas = _ground(rng, size)
  mean = canvas.mean((0, 1))
  angle = rng.uniform(-np.pi, np.pi)
  light = np.array([np.cos(angle), np.sin(angle)], np.float32)
  for shape in shapes:
    height, softness = rng.uniform(3.0, 6.0), rng.uniform(2.0, 4.5)
    x, y = _window(shape, size, margin=10.0)
    region = canvas[int(y[0, 0]) : int(y[-1, 0]) + 1, int(x[0, 0]) : int(x[0, -1]) + 1]
    shadow = shape.distance(x + light[0] * height, y + light[1] * height)
    region *= 1 - 0.6 * np.clip(0.5 - shadow / (2 * softness), 0, 1)[..., None]
    distance = shape.distance(x, y)
    surface = _surface(rng, shape, x, y, distance, light, _colour_unlike(rng, mean, shape.class_id))
    cover = np.clip(0.5 - distance, 0, 1)[..., None]
    region += cover * (surface - region)
  x, y = np.meshgrid(*[np.linspace(-1, 1, size, dtype=np.float32)] * 2)
  sunny = 1 - rng.uniform(0.02, 0.18) * (light[0] * -x + light[1] * -y)
  return canvas * (sunny - rng.uniform(0.0, 0.12) * (x * x + y * y))[..., None]


def _ground(rng, size):
  """Two related colours mixed by noise, on some grounds with joints between tiles or planks."""
  hue, value = rng.uniform(0, 360), rng.uniform(0.3, 0.85)
  first = _rgb(hue, rng.uniform(0.05, 0.35), value)
  second = _rgb(hue + rng.uniform(-40, 40), rng.uniform(0.05, 0.35), value * rng.uniform(0.6, 0.9))
  stretch = rng.choice([1.0, 1.0, 4.0])  # four: grain of wood
  mixed = _noise(rng, size, (4, 8, 16, 32, 64), stretch)[..., None]
  canvas = first + (second - first) * mixed
  canvas *= 1 + rng.uniform(0.03, 0.1) * rng.standard_normal((size, size, 1)).astype(np.float32)
  if rng.random() < 0.4:
    canvas *= _joints(rng, size)[..., None]
  return canvas


def _joints(rng, size):
  angle, pitch = rng.uniform(0, np.pi), rng.uniform(18, 40)
  x, y = np.meshgrid(*[np.arange(size, dtype=np.float32)] * 2)
  u = np.cos(angle) * x + np.sin(angle) * y
  v = np.cos(angle) * y - np.sin(angle) * x
  gap = np.abs((u / pitch) % 1 - 0.5) * pitch
  if rng.random() < 0.5:
    gap = np.minimum(gap, np.abs((v / pitch) % 1 - 0.5) * pitch)
  return 1 - rng.uniform(0.15, 0.4) * np.clip(1.5 - gap, 0, 1)


def _noise(rng, size, cells, stretch=1.0):
  """Smooth noise in 0..1: random grids, ever finer and weaker, enlarged to (size, size)."""
  total = np.zeros((size, size), np.float32)
  for octave, cell in enumerate(cells):
    grid = rng.random((max(2, int(cell / stretch)), cell), np.float32)
    total += 0.6**octave * cv2.resize(grid, (size, size), interpolation=cv2.INTER_CUBIC)
  return np.clip((total - total.min()) / np.ptp(total), 0, 1)


def _surface(rng, shape, x, y, distance, light, colour):
  """A shape's own colours: pattern, rim catching the light, and light from one side."""
  u, v = (c / np.float32(shape.radius) for c in shape.to_local(x, y))
  if shape.class_id == shape_distance.KITE:
    pattern, tint = _kite_pattern(u, v, np.float32(shape.radius))
  else:
    pattern, tint = _pattern(rng, u, v, np.float32(shape.radius))
  other = np.clip(colour * rng.uniform(0.55, 0.8) + rng.uniform(0, 0.25), 0, 1)
  surface = colour + (other.astype(np.float32) - colour) * tint[..., None]
  slope_y, slope_x = np.gradient(distance)
  towards = slope_x * light[0] + slope_y * light[1]
  rim = rng.uniform(0.15, 0.45) * np.exp(np.minimum(distance, 0) / 2.0) * towards
  across = 0.12 * ((x - shape.centre[0]) * light[0] + (y - shape.centre[1]) * light[1])
  grain = 0.04 * rng.standard_normal(x.shape).astype(np.float32)
  return surface * (pattern + rim + across / np.float32(shape.radius) + grain)[..., None]


def _pattern(rng, u, v, radius):
  """Brightness and mix of the two colours over the shape: plain, stripes, rings, dots, blotches."""
  plain = np.ones_like(u)
  kind, pitch = rng.integers(5), max(0.35, 5.0 / radius)
  if kind == 0:
    return plain, 0.5 + 0.5 * np.clip(v, -1, 1)
  if kind == 1:
    return plain, np.clip(radius / 4 * np.sin(2 * np.pi * v / pitch), 0, 1)
  if kind == 2:
    return plain, np.clip(radius / 4 * np.sin(2 * np.pi * np.hypot(u, v) / pitch), 0, 1)
  if kind == 3:
    nearest = np.hypot((u / pitch) % 1 - 0.5, (v / pitch) % 1 - 0.5)
    return plain, np.clip((0.3 - nearest) * radius * pitch, 0, 1)
  side = max(u.shape)
  return plain, _noise(rng, side, (3, 6, 12))[: u.shape[0], : u.shape[1]]


def _kite_pattern(u, v, radius):
  """Panels of two colours along the spars and a dark nose: what is up can be seen."""
  spars = np.minimum(np.abs(u), np.abs(v + 0.2)) * radius
  nose = np.clip((-0.55 - v) * radius, 0, 1)
  brightness = 1 - 0.45 * np.clip(1.3 - spars, 0, 1) - 0.5 * nose
  return brightness, np.clip((v + 0.2) * radius, 0, 1)


def _colour_unlike(rng, ground, class_id):
  """A colour that leans to the class and stands out from the ground."""
  for _ in range(20):
    hue = _HUES[class_id] + np.clip(rng.normal(0, 12), -28, 28)
    colour = _rgb(hue, rng.uniform(0.45, 0.95), rng.uniform(0.4, 1.0))
    if np.linalg.norm(colour - ground) > 0.35:
      break
  return colour


def _rgb(hue, saturation, value):
  hsv = np.array([[[hue % 360, saturation, value]]], np.float32)
  return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)[0, 0]


def _photograph(rng, canvas):
  """Imitates lens and sensor: blur, exposure, noise, eight bits."""
  blurred = cv2.GaussianBlur(canvas, (0, 0), rng.uniform(0.3, 0.7))
  noise = rng.standard_normal(canvas.shape, np.float32) * np.float32(rng.uniform(0.005, 0.02))
  exposed = blurred * np.float32(rng.uniform(0.85, 1.1)) + noise
  return np.rint(255 * np.clip(exposed, 0, 1)).astype(np.uint8)


def _annotate(shapes, image, size):
  instances = np.zeros((size, size), np.uint8)
  for index, shape in enumerate(shapes):
    x, y = _window(shape, size)
    region = instances[int(y[0, 0]) : int(y[-1, 0]) + 1, int(x[0, 0]) : int(x[0, -1]) + 1]
    region[shape.distance(x, y) < 0] = index + 1
  classes = np.array([shape.class_id for shape in shapes], np.int32)
  return Scene(
    image=image,
    label=np.concatenate([[0], classes]).astype(np.uint8)[instances],
    instances=instances,
    boxes=np.stack([_box(instances == index + 1) for index in range(len(shapes))]),
    classes=classes,
    keypoints=np.stack([shape.keypoints() for shape in shapes]),
    visible=np.stack([_visible(shapes, index, size) for index in range(len(shapes))]),
  )


def _box(mask):
  rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
  return np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], np.float32)


def _visible(shapes, index, size):
  if shapes[index].class_id != shape_distance.KITE:
    return np.zeros(len(shape_distance.KEYPOINT_NAMES), bool)
  x, y = shapes[index].keypoints().T
  seen = (x > -0.5) & (x < size - 0.5) & (y > -0.5) & (y < size - 0.5)
  for above in shapes[index + 1 :]:
    seen &= above.distance(x, y) >= 0
  return seen
