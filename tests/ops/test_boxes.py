"""Box arithmetic against published vectors and plain loops, and coding there and back."""

import functools

from hypothesis import given, settings
from hypothesis import strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hrnet_jax.ops.boxes import BoxCoder, Convention, areas, clip, iou, sizes

MODERN, LEGACY = Convention.MODERN, Convention.LEGACY
STDS = (0.1, 0.1, 0.2, 0.2)
PROPOSAL, TRUTH = [100, 50, 227, 177], [110, 40, 257, 199]
both = pytest.mark.parametrize("convention", list(Convention))
property_test = settings(deadline=None, max_examples=25, database=None)


@functools.partial(jax.jit, static_argnames="coder")
def encode(coder, references, boxes):
  return coder.encode(jnp.asarray(references, jnp.float32), jnp.asarray(boxes, jnp.float32))


@functools.partial(jax.jit, static_argnames="coder")
def decode(coder, references, deltas):
  return coder.decode(jnp.asarray(references, jnp.float32), jnp.asarray(deltas, jnp.float32))


def some_boxes(rng, n, low=-40, high=150):
  """Ordered corners, many of them whole, some without area."""
  corners = np.sort(rng.uniform(low, high, (n, 2, 2)), axis=1).reshape(n, 4)
  corners = np.where(rng.random((n, 1)) < 0.5, np.round(corners), corners)
  corners[:: max(n // 3, 1), 2:] = corners[:: max(n // 3, 1), :2]
  return corners.astype(np.float32)


def plain_iou(a, b, offset):
  """One pair, in Python's numbers."""
  a, b = [float(x) for x in a], [float(x) for x in b]
  width = min(a[2], b[2]) - max(a[0], b[0]) + offset
  height = min(a[3], b[3]) - max(a[1], b[1]) + offset
  common = max(width, 0) * max(height, 0)
  area = [(x[2] - x[0] + offset) * (x[3] - x[1] + offset) for x in (a, b)]
  union = sum(area) - common
  return common / union if union > 0 else 0.0


@pytest.mark.parametrize(("convention", "expected"), [(MODERN, 0.109589), (LEGACY, 1 / 7)])
def test_iou_of_the_published_pair(convention, expected):
  a, b = jnp.array([[0, 0, 9.0, 9]]), jnp.array([[5, 5, 14.0, 14]])
  np.testing.assert_allclose(iou(a, b, convention), [[expected]], atol=5e-7)


@both
@property_test
@given(st.integers(0, 2**32 - 1))
def test_iou_equals_a_plain_loop(convention, seed):
  rng = np.random.default_rng(seed)
  a, b = some_boxes(rng, 9), some_boxes(rng, 7)
  b[:3] = a[:3]  # equal boxes, one of them without area
  expected = [[plain_iou(x, y, convention.offset) for y in b] for x in a]
  np.testing.assert_allclose(iou(jnp.asarray(a), jnp.asarray(b), convention), expected, atol=2e-5)


def test_sizes_count_the_last_pixel_in_legacy_boxes_only():
  boxes = jnp.array([[2, 3, 5, 9.0], [4, 4, 4, 4], [9, 9, 5, 5]])
  np.testing.assert_array_equal(sizes(boxes, MODERN), [[3, 6], [0, 0], [0, 0]])
  np.testing.assert_array_equal(areas(boxes, LEGACY), [28, 1, 0])


@pytest.mark.parametrize(("convention", "last"), [(MODERN, (240, 160)), (LEGACY, (239, 159))])
def test_clipping_of_each_image_of_a_batch(convention, last):
  boxes = np.array([[-5, 10, 500, 90], [300, -9, 310, 400.0]], np.float32)
  out = clip(jnp.stack([boxes, boxes]), jnp.array([[160, 240], [1000, 1000]]), convention)
  np.testing.assert_array_equal(out[0], [[0, 10, last[0], 90], [last[0], 0, last[0], last[1]]])
  np.testing.assert_array_equal(out[1], [[0, 10, 500, 90], [300, 0, 310, 400]])


@pytest.mark.parametrize(
  ("convention", "deltas", "decoded", "clipped"),
  [
    (
      MODERN,
      (1.574803, 0.472441, 0.731228, 1.123586),
      (92.290925, 55.578869, 247.409075, 163.801131),
      (92.290925, 55.578869, 240, 160),
    ),
    (
      LEGACY,
      (1.5625, 0.46875, 0.72591, 1.115718),
      (92.230223, 55.622798, 247.569777, 163.697202),
      (92.230223, 55.622798, 239, 159),
    ),
  ],
)
def test_published_vectors_of_the_coder(convention, deltas, decoded, clipped):
  coder = BoxCoder(STDS, convention)
  np.testing.assert_allclose(encode(coder, [PROPOSAL], [TRUTH])[0], deltas, atol=2e-6)
  boxes = decode(coder, [PROPOSAL], [[0.5, -0.3, 1.0, -0.8]])
  np.testing.assert_allclose(boxes[0], decoded, atol=3e-5)
  np.testing.assert_allclose(clip(boxes, jnp.array([160, 240]), convention)[0], clipped, atol=3e-5)


@both
@property_test
@given(st.integers(0, 2**32 - 1), st.sampled_from([STDS, (1.0,) * 4, (0.033, 0.033, 0.067, 0.067)]))
def test_decoding_inverts_encoding(convention, seed, stds):
  rng = np.random.default_rng(seed)
  coder = BoxCoder(stds, convention)
  corner, size = rng.uniform(-50, 300, (2, 20, 2)), rng.uniform(5, 200, (2, 20, 2))
  a, b = np.concatenate([corner, corner + size], axis=-1).astype(np.float32)
  np.testing.assert_allclose(decode(coder, a, encode(coder, a, b)), b, atol=2e-3)


@both
def test_no_delta_keeps_a_box_and_scales_are_limited(convention):
  coder = BoxCoder((1.0,) * 4, convention)
  box = np.array([[10, 20, 49, 59.0]], np.float32)
  np.testing.assert_allclose(decode(coder, box, np.zeros((1, 4))), box, atol=1e-5)
  huge = decode(coder, box, [[0, 0, 50.0, -50.0]])
  side = 39 + convention.offset
  np.testing.assert_allclose(sizes(huge, convention), [[side * 62.5, side / 62.5]], rtol=1e-5)


def test_deltas_of_several_classes_broadcast():
  coder = BoxCoder(STDS, MODERN)
  deltas = np.random.default_rng(0).standard_normal((3, 5, 4)).astype(np.float32)
  boxes = some_boxes(np.random.default_rng(1), 3)
  out = decode(coder, boxes[:, None], deltas)
  for k in range(5):
    np.testing.assert_allclose(out[:, k], decode(coder, boxes, deltas[:, k]), atol=1e-4)


DEGENERATE = np.array(
  [[0, 0, 0, 0], [5, 5, 5, 5], [5, 5, 5, 90], [9, 9, 2, 2], [-1e4, -1e4, 1e4, 1e4], [3, 3, 60, 60]],
  np.float32,
)


@both
def test_degenerate_boxes_have_finite_values_and_gradients(convention):
  coder = BoxCoder(STDS, convention)
  a, b = np.repeat(DEGENERATE, 6, axis=0), np.tile(DEGENERATE, (6, 1))
  deltas = np.tile(np.float32([[0, 0, 0, 0], [3, -3, 99, -99]]), (18, 1))
  for f, x, y in ((encode, a, b), (decode, a, deltas)):
    assert np.isfinite(f(coder, x, y)).all()
    gradients = jax.grad(lambda x, y, f=f: f(coder, x, y).sum(), (0, 1))(x, y)
    assert all(np.isfinite(g).all() for g in gradients)


def test_half_precision_is_decoded_in_single():
  coder = BoxCoder((1.0,) * 4, MODERN)
  out = coder.decode(jnp.array([[1001, 1001, 1033, 1033.0]]), jnp.zeros((1, 4), jnp.bfloat16))
  assert out.dtype == jnp.float32
  np.testing.assert_array_equal(out, [[1001, 1001, 1033, 1033]])


@pytest.mark.parametrize("stds", [(1, 1, 1), (1, 1, 0, 1)])
def test_bad_stds_are_named(stds):
  with pytest.raises(ValueError, match=r"stds of a box coder are .* expected four positive"):
    BoxCoder(stds, MODERN)
