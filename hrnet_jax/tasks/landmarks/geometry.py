"""Where points of an image go in a crop around a face: `(L, 2) float64 -> (L, 2)`, x before y.

A crop shows a square window of the image: its middle is `center`, its side `200 * scale` pixels.
In the crop, position 0 is the left or upper border of the window and `size` the other border; the
middle of cell k is at `k + 0.5`. Everything is computed in float64, because the reference rounds
positions toward zero and float32 would move points that lie on the border of a cell.
"""

from collections.abc import Sequence

import numpy as np

from hrnet_jax.ops.mirror import partners

PIXELS_PER_SCALE = 200.0
QUARTER = 0.25  # pixel of the heat map: the step of the reference's decoded positions


def crop_matrix(center: np.ndarray, scale: float, size: int, rotation: float = 0.0) -> np.ndarray:
  """Matrix that takes positions in the image to positions in the crop.

  Equal to `get_transform` in lib/utils/transforms.py bit for bit, hence the order of the products.

  Args:
    center: `(2,)` middle of the window; float32 as in the reference.
    scale: side of the window in pixels / 200.
    size: side of the crop in pixels, or of its heat maps.
    rotation: degrees by which the content of the crop is turned counter-clockwise about its middle.

  Returns:
    `(3, 3)` float64.
  """
  side = PIXELS_PER_SCALE * scale
  x, y = (size * (-float(c) / side + 0.5) for c in center)
  matrix = np.array([[size / side, 0, x], [0, size / side, y], [0, 0, 1]])
  if rotation == 0:
    return matrix
  angle = -rotation * np.pi / 180
  sine, cosine = np.sin(angle), np.cos(angle)
  turn = np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]])
  return _shift(size / 2) @ (turn @ (_shift(-size / 2) @ matrix))


def transform(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
  """Applies a matrix `(3, 3)` or `(2, 3)` to points `(L, 2)`: `-> (L, 2)` float64."""
  return np.asarray(points, np.float64) @ matrix[:2, :2].T + matrix[:2, 2]


def transform_to_whole(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
  """The same, rounded toward zero: `-> (L, 2)` int64.

  This is `transform_pixel` in lib/utils/transforms.py without the 1 that it takes from a point
  before and adds after.
  """
  # One product for each point, as there: many at once are summed differently in the last bit, and
  # a point on the border of a cell gets into another.
  exact = [np.dot(matrix, np.array([x, y, 1.0]))[:2] for x, y in points]
  return np.array(exact, np.float64).reshape(-1, 2).astype(np.int64)


def mirror(points: np.ndarray, width: float, pairs: Sequence[tuple[int, int]] = ()) -> np.ndarray:
  """Points of the mirrored image, `x -> width - x`; the two points of every pair change places.

  Args:
    points: `(L, 2)`.
    width: where x = 0 goes. The reference takes the width of the image, which moves points by one
      pixel against the mirrored pixels; pixel centres need `width - 1`.
    pairs: indices of a left point and its right partner.

  Raises:
    ValueError: a pair names a point that there is not.
  """
  mirrored = np.stack([width - points[:, 0], points[:, 1]], axis=-1)
  return mirrored[partners(pairs, len(points))]


def window(center: np.ndarray, scale: float) -> np.ndarray:
  """Left, top and side of the window in pixels, `(3,)` float64."""
  side = PIXELS_PER_SCALE * scale
  return np.array([float(center[0]) - side / 2, float(center[1]) - side / 2, side])


def whole_pixels(center: np.ndarray, scale: float, size: int) -> np.ndarray:
  """Image coordinates that the reference gives to decoded positions, for a look-up on the device.

  The reference maps a position back in float64, rounds toward zero and adds 1
  (`transform_preds` in lib/utils/transforms.py). Positions are multiples of a quarter pixel and
  the axes do not mix, so that all that can come out fits in a table, and the device needs no
  float64.

  Args:
    center: `(2,)` float32.
    scale: side of the window in pixels / 200.
    size: side of the heat map.

  Returns:
    `(2, 4 * size + 5)` float32: entry `[axis, k]` is the coordinate of position `k / 4 - 1` in the
    heat map, where whole positions are the middles of cells.
  """
  middle_of_first = 0.5
  positions = np.arange(4 * size + 5) * QUARTER - 1 + middle_of_first
  inverse = np.linalg.inv(crop_matrix(center, scale, size))
  points = transform_to_whole(inverse, np.stack([positions, positions], axis=-1)) + 1
  return points.T.astype(np.float32)


def _shift(distance: float) -> np.ndarray:
  return np.array([[1, 0, distance], [0, 1, distance], [0, 0, 1]])
