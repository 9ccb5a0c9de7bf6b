"""Anchors against the published tables and counts, and which of them take part."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hrnet_jax.ops.anchors import base_anchors, grid, inside, valid
from hrnet_jax.ops.boxes import Convention, iou, sizes

MODERN, LEGACY = Convention.MODERN, Convention.LEGACY
STRIDES = (4, 8, 16, 32, 64)
LEGACY_TABLE = {
  4: [(-21, -9, 24, 12), (-14, -14, 17, 17), (-9, -21, 12, 24)],
  8: [(-41, -19, 48, 26), (-28, -28, 35, 35), (-19, -41, 26, 48)],
  16: [(-83, -37, 98, 52), (-56, -56, 71, 71), (-37, -83, 52, 98)],
  32: [(-165, -75, 196, 106), (-112, -112, 143, 143), (-75, -165, 106, 196)],
  64: [(-330, -149, 393, 212), (-224, -224, 287, 287), (-149, -330, 212, 393)],
}


def shapes(height, width):
  """Those of the neck, whose coarsest level is floored."""
  return tuple((height // s, width // s) for s in STRIDES)


@pytest.mark.parametrize("stride", STRIDES)
def test_legacy_anchors_are_the_published_table(stride):
  np.testing.assert_array_equal(base_anchors(stride, LEGACY), LEGACY_TABLE[stride])


@pytest.mark.parametrize("stride", STRIDES)
def test_modern_anchors_are_centred_and_not_rounded(stride):
  small, large = 22.627417 * stride / 4, 11.313708 * stride / 4
  expected = [(-small, -large), (-4 * stride, -4 * stride), (-large, -small)]
  anchors = base_anchors(stride, MODERN)
  np.testing.assert_allclose(anchors[:, :2], expected, rtol=1e-6)
  np.testing.assert_array_equal(anchors[:, 2:], -anchors[:, :2])


@pytest.mark.parametrize(
  ("size", "count"),
  [((800, 1344), 268506), ((800, 1216), 242934), ((1024, 1600), 409200), ((1344, 1344), 451143)],
)
def test_published_counts(size, count):
  assert grid(shapes(*size), STRIDES, MODERN).shape == (count, 4)


@pytest.mark.parametrize("convention", list(Convention))
def test_the_order_is_level_row_column_ratio(convention):
  sizes_of_levels = ((3, 5), (2, 2))
  anchors = iter(grid(sizes_of_levels, (4, 8), convention))
  for (height, width), stride in zip(sizes_of_levels, (4, 8), strict=True):
    for y in range(height):
      for x in range(width):
        for base in base_anchors(stride, convention):
          expected = base + np.float32([x, y, x, y]) * stride
          np.testing.assert_array_equal(next(anchors), expected)
  assert next(anchors, None) is None


def test_the_grid_is_made_once_and_cannot_be_changed():
  anchors = grid(shapes(64, 96), STRIDES, MODERN)
  assert grid(shapes(64, 96), STRIDES, MODERN) is anchors
  with pytest.raises(ValueError, match="read-only"):
    anchors[0] = 0


def test_inside_is_that_of_the_image_without_padding():
  anchors = jnp.array([[0, 0, 9, 9], [-1, 0, 9, 9], [0, 0, 20, 9], [0, 0, 19.5, 29], [0, 0, 9, 30]])
  size = jnp.array([30.0, 20.0])
  assert inside(anchors, size, 0).tolist() == [True, False, False, True, False]
  assert inside(anchors, size, 1).tolist() == [True, True, True, True, True]
  assert inside(anchors, size, -1).all()


def plain_valid(height, width, stride, size):
  padded = [-(-n // 32) * 32 for n in size]
  rows, columns = (min(-(-p // stride), n) for p, n in zip(padded, (height, width), strict=True))
  cells = [y < rows and x < columns for y in range(height) for x in range(width)]
  return np.repeat(cells, 3)


@pytest.mark.parametrize("size", [(160, 192), (33, 65), (150, 64), (1, 1), (128, 190)])
def test_valid_cells_are_those_of_the_images_own_padding(size):
  levels = shapes(160, 192)
  expected = [plain_valid(h, w, s, size) for (h, w), s in zip(levels, STRIDES, strict=True)]
  out = jax.jit(lambda size: valid(levels, STRIDES, size))(jnp.array(size, jnp.float32))
  np.testing.assert_array_equal(out, np.concatenate(expected))


def test_masks_are_functions_of_each_image_of_a_batch():
  levels = shapes(64, 96)
  anchors = grid(levels, STRIDES, MODERN)
  image_sizes = jnp.array([[64, 96], [40, 33.0]])
  both = jax.vmap(lambda size: inside(anchors, size, 0) & valid(levels, STRIDES, size))
  first, second = both(image_sizes)
  assert 0 < second.sum() < first.sum() < len(anchors)
  assert (sizes(anchors[np.asarray(second)], MODERN) <= np.array([33, 40])).all()
  assert not (second & ~first).any()


@pytest.mark.parametrize("convention", list(Convention))
def test_every_medium_object_has_an_anchor(convention):
  """From one cell to the next an overlap is lost that keeps the best anchor above 0.5."""
  anchors = grid(shapes(256, 320), STRIDES, convention)
  rng = np.random.default_rng(0)
  centre, side = (
    rng.uniform(90, 160, (50, 2)),
    np.exp(rng.uniform(np.log(32), np.log(128), (50, 1))),
  )
  boxes = np.concatenate([centre - side / 2, centre + side / 2], axis=1).astype(np.float32)
  assert iou(jnp.asarray(boxes), anchors, convention).max(1).min() > 0.5
