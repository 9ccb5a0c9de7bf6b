"""Suppression equals a loop over all boxes: ties, groups, padding, batches and devices."""

import functools

from hypothesis import given, settings
from hypothesis import strategies as st
import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec as P
import numpy as np
import pytest

from hrnet_jax.ops.boxes import Convention
from hrnet_jax.ops.nms import TILE, nms

MODERN, LEGACY = Convention.MODERN, Convention.LEGACY


@functools.partial(jax.jit, static_argnames=("threshold", "convention"))
def run(boxes, scores, valid, groups, threshold, convention):
  return nms(boxes, scores, threshold, convention=convention, valid=valid, groups=groups)


def plain_nms(boxes, scores, valid, groups, threshold, offset):
  """The definition, one pair at a time (the same product, so that ties are ties)."""
  size = np.maximum(boxes[:, 2:] - boxes[:, :2] + offset, 0)
  area = size[:, 0] * size[:, 1]
  kept = []
  for j in sorted(np.flatnonzero(valid), key=lambda j: (-scores[j], j)):
    others = np.array([i for i in kept if groups[i] == groups[j]], int)
    low = np.maximum(boxes[others, :2], boxes[j, :2])
    side = np.maximum(np.minimum(boxes[others, 2:], boxes[j, 2:]) - low + offset, 0)
    common = side[:, 0] * side[:, 1]
    if not (common > np.float32(threshold) * (area[others] + area[j] - common)).any():
      kept.append(j)
  out = np.zeros(len(boxes), bool)
  out[kept] = True
  return out


def case(seed, n, *, crowded=0.1, whole=True):
  """Boxes around a few centres; whole corners and few scores make ties."""
  rng = np.random.default_rng(seed)
  many = max(int(n * crowded), 1)
  pick = rng.integers(0, many, n)
  centre = rng.uniform(0, 300, (many, 2))[pick] + rng.normal(0, 5, (n, 2))
  size = rng.uniform(10, 80, (many, 2))[pick] * rng.uniform(0.8, 1.2, (n, 2))
  size[rng.random(n) < 0.05] = 0
  boxes = np.concatenate([centre - size / 2, centre + size / 2], axis=1).astype(np.float32)
  if whole:
    boxes = np.round(boxes)
  scores = rng.integers(0, 30, n).astype(np.float32) / 32
  return boxes, scores, rng.random(n) < 0.9, rng.integers(0, 3, n)


@settings(deadline=None, max_examples=20, database=None)
@given(
  st.integers(0, 2**32 - 1),
  st.sampled_from([0.25, 0.5, 0.75]),
  st.sampled_from(list(Convention)),
)
def test_small_sets_equal_the_loop(seed, threshold, convention):
  arrays = case(seed, 40)
  expected = plain_nms(*arrays, threshold, convention.offset)
  np.testing.assert_array_equal(run(*arrays, threshold, convention), expected)


@pytest.mark.parametrize("convention", list(Convention))
@pytest.mark.parametrize("crowded", [0.01, 0.3])
def test_sets_of_several_tiles_equal_the_loop(crowded, convention):
  arrays = case(7, 3 * TILE + 20, crowded=crowded, whole=False)
  expected = plain_nms(*arrays, 0.5, convention.offset)
  assert 0.01 < expected.mean() < 0.9
  np.testing.assert_array_equal(run(*arrays, 0.5, convention), expected)


def test_overlap_at_the_threshold_stays():
  boxes = jnp.array([[0, 0, 9, 9], [0, 0, 9, 4.0]])
  scores = jnp.array([0.9, 0.8])
  assert nms(boxes, scores, 0.5, convention=LEGACY).tolist() == [True, True]
  assert nms(boxes, scores, 0.499, convention=LEGACY).tolist() == [True, False]


def test_of_equal_boxes_with_equal_scores_the_first_stays():
  boxes = jnp.tile(jnp.array([[10, 10, 20, 20.0]]), (5, 1))
  scores = jnp.array([0.1, 0.5, 0.5, 0.5, 0.2])
  assert nms(boxes, scores, 0.5, convention=MODERN).tolist() == [False, True, False, False, False]


def test_a_removed_box_removes_nothing():
  # Each overlaps its neighbour by 0.6 and the next but one by 0.33: a chain through three tiles.
  n = 2 * TILE + 10
  left = 2.5 * np.arange(n, dtype=np.float32)
  boxes = np.stack([left, np.zeros(n), left + 10, np.full(n, 10)], axis=1).astype(np.float32)
  kept = nms(jnp.asarray(boxes), -jnp.arange(n, dtype=jnp.float32), 0.5, convention=MODERN)
  np.testing.assert_array_equal(kept, np.arange(n) % 2 == 0)


def test_padding_neither_stays_nor_removes():
  boxes = jnp.tile(jnp.array([[10, 10, 20, 20.0]]), (3, 1))
  valid = jnp.array([False, True, False])
  scores = jnp.array([0.9, 0.1, 0.8])
  assert nms(boxes, scores, 0.5, convention=MODERN, valid=valid).tolist() == [False, True, False]
  assert not nms(boxes, scores, 0.5, convention=MODERN, valid=jnp.zeros(3, bool)).any()


def test_boxes_without_area_stay():
  boxes = jnp.array([[5, 5, 5, 5], [5, 5, 5, 5], [0, 0, 10, 10], [700, 5, 700, 9.0]])
  assert nms(boxes, jnp.arange(4.0), 0.5, convention=MODERN).all()
  # Of whole pixels the first two are the same one.
  assert nms(boxes, jnp.arange(4.0), 0.5, convention=LEGACY).tolist() == [False, True, True, True]


def test_no_boxes_are_no_boxes():
  assert nms(jnp.zeros((0, 4)), jnp.zeros(0), 0.5, convention=MODERN).shape == (0,)


def test_each_image_of_a_batch_on_its_own():
  arrays = [np.stack(x) for x in zip(*(case(seed, 300) for seed in range(3)), strict=True)]
  out = jax.vmap(lambda *x: run(*x, 0.5, MODERN))(*arrays)
  for k in range(3):
    np.testing.assert_array_equal(out[k], plain_nms(*(x[k] for x in arrays), 0.5, 0))


@pytest.mark.parametrize("apart", [False, True])
def test_a_batch_over_eight_devices(apart):
  """As one program over all devices, and as one of each device for its own images."""
  arrays = [np.stack(x) for x in zip(*(case(seed, 300) for seed in range(8)), strict=True)]
  mesh = jax.make_mesh((8,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
  sharding = jax.sharding.NamedSharding(mesh, P("data"))
  f = jax.vmap(lambda *x: run(*x, 0.5, MODERN))
  if apart:
    f = jax.shard_map(f, mesh=mesh, in_specs=P("data"), out_specs=P("data"))
  out = jax.jit(f)(*(jax.device_put(x, sharding) for x in arrays))
  for k in range(8):
    np.testing.assert_array_equal(out[k], plain_nms(*(x[k] for x in arrays), 0.5, 0))
