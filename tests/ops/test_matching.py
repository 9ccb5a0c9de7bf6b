"""Assignment equals the rule step by step; subsets are exact in size, uniform and reproducible."""

import functools

from hypothesis import given, settings
from hypothesis import strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hrnet_jax.ops.anchors import grid
from hrnet_jax.ops.boxes import Convention
from hrnet_jax.ops.matching import IGNORED, NEGATIVE, Matcher, match, prepend_truths, sample

MODERN, LEGACY = Convention.MODERN, Convention.LEGACY
RPN = Matcher(positive=0.7, negative=0.3, min_positive=0.3, low_quality=True)
STAGE = Matcher(positive=0.5, negative=0.5, min_positive=0.5, low_quality=False)
STAGE_FORCED = Matcher(positive=0.5, negative=0.5, min_positive=0.5, low_quality=True)


@functools.partial(jax.jit, static_argnames=("matcher", "convention"))
def run(matcher, boxes, truths, valid, truth_valid, convention):
  return match(matcher, boxes, truths, valid=valid, truth_valid=truth_valid, convention=convention)


def plain_overlaps(boxes, truths, offset):
  """`(M, N)` in float32, in the order of operations that makes equal boxes equal."""
  low, high = (
    np.maximum(boxes[None, :, :2], truths[:, None, :2]),
    np.minimum(boxes[None, :, 2:], truths[:, None, 2:]),
  )
  common = np.maximum(high - low + offset, 0).prod(-1)
  a, b = (np.maximum(x[:, 2:] - x[:, :2] + offset, 0).prod(-1) for x in (boxes, truths))
  union = a[None] + b[:, None] - common
  return common / np.where(union > 0, union, 1)


def plain_match(matcher, boxes, truths, valid, truth_valid, offset):
  """The four steps of the assigner on the boxes and objects that exist."""
  out = np.full(len(boxes), IGNORED)
  rows, columns = np.flatnonzero(truth_valid), np.flatnonzero(valid)
  if not len(rows):
    out[valid] = NEGATIVE
    return out
  overlaps = plain_overlaps(boxes[columns], truths[rows], offset)
  for b, column in enumerate(columns):
    best = max(overlaps[:, b])
    if 0 <= best < matcher.negative:
      out[column] = NEGATIVE
    if best >= matcher.positive:
      out[column] = rows[list(overlaps[:, b]).index(best)]
  for g, row in enumerate(rows):
    if matcher.low_quality and len(columns) and max(overlaps[g]) >= matcher.min_positive:
      out[columns[overlaps[g] == max(overlaps[g])]] = row
  return out


def case(seed, n=80, m=9):
  """Whole corners on a coarse grid: ties and equal boxes are many, every number is exact."""
  rng = np.random.default_rng(seed)
  corner, size = rng.integers(0, 12, (2, n + m, 2)) * 4
  corners = np.concatenate([corner, corner + size], axis=-1).astype(np.float32)
  boxes, truths = corners[:n], corners[n:]
  truths[1] = truths[4]  # twice the same object
  boxes[:3] = truths[:3]
  return boxes, truths, rng.random(n) < 0.85, rng.random(m) < 0.8


@settings(deadline=None, max_examples=40, database=None)
@given(
  st.integers(0, 2**32 - 1),
  st.sampled_from([RPN, STAGE, STAGE_FORCED]),
  st.sampled_from(list(Convention)),
)
def test_assignment_equals_the_rule(seed, matcher, convention):
  arrays = case(seed)
  expected = plain_match(matcher, *arrays, convention.offset)
  np.testing.assert_array_equal(run(matcher, *arrays, convention), expected)


@pytest.mark.parametrize("convention", list(Convention))
def test_anchors_of_an_image_equal_the_rule(convention):
  anchors = np.array(grid(((32, 40), (16, 20), (8, 10)), (4, 8, 16), convention))
  rng = np.random.default_rng(0)
  corner = rng.uniform(0, 100, (30, 2))
  size = np.exp(rng.uniform(1, 4.5, (30, 2)))
  truths = np.concatenate([corner, corner + size], axis=1).astype(np.float32)
  arrays = anchors, truths, np.ones(len(anchors), bool), np.arange(30) < 25
  out = np.asarray(run(RPN, *arrays, convention))
  expected = plain_match(RPN, *arrays, convention.offset)
  # Overlaps that differ by rounding decide about a few.
  assert (out == expected).mean() > 0.999
  assert (out >= 0).sum() > 25
  assert out.max() < 25


def test_no_objects_make_everything_background():
  boxes, truths, valid, _ = case(0)
  out = run(RPN, boxes, truths, valid, np.zeros(len(truths), bool), MODERN)
  np.testing.assert_array_equal(out, np.where(valid, NEGATIVE, IGNORED))


def test_the_last_of_several_objects_has_the_box_they_share():
  boxes = np.float32([[0, 0, 10, 10], [50, 50, 60, 60], [0, 0, 10, 5]])
  truths = np.float32([[0, 0, 10, 10], [0, 0, 10, 8], [0, 0, 10, 9], [0, 0, 10, 10]])
  every = np.ones(3, bool), np.ones(4, bool)
  # The best box of all four is the first, though it covers the first object best.
  assert run(RPN, boxes, truths, *every, MODERN).tolist() == [3, NEGATIVE, IGNORED]
  assert run(STAGE, boxes, truths, *every, MODERN).tolist() == [0, NEGATIVE, 1]
  last = np.array([True, True, True, False])
  assert run(STAGE_FORCED, boxes, truths, every[0], last, MODERN).tolist() == [2, NEGATIVE, 1]


def test_all_boxes_that_are_equally_good_are_an_objects_own():
  boxes = np.float32([[0, 0, 10, 10], [5, 0, 15, 10], [40, 0, 50, 10]])
  truths = np.float32([[2.5, 0, 12.5, 20]])
  out = run(RPN, boxes, truths, np.ones(3, bool), np.ones(1, bool), MODERN)
  assert out.tolist() == [0, 0, NEGATIVE]


def test_overlaps_at_the_limits_belong_to_the_upper_side():
  boxes = np.float32([[0, 0, 8, 8], [0, 0, 8, 4], [0, 0, 4, 4], [0, 0, 2, 4]])  # 1, 1/2, 1/4, 1/8
  truths, one = np.float32([[0, 0, 8, 8]]), np.ones(1, bool)
  limits = Matcher(positive=0.5, negative=0.25, min_positive=0.25, low_quality=True)
  every = np.ones(4, bool)
  assert run(limits, boxes, truths, every, one, MODERN).tolist() == [0, 0, IGNORED, NEGATIVE]
  small = np.array([False, False, True, True])
  assert run(limits, boxes, truths, small, one, MODERN).tolist() == [IGNORED] * 2 + [0, NEGATIVE]


def test_a_box_without_area_is_background():
  boxes, truths = (
    np.float32([[5, 5, 5, 5], [0, 0, 10, 10]]),
    np.float32([[0, 0, 10, 10], [5, 5, 5, 5]]),
  )
  out = run(STAGE, boxes, truths, np.ones(2, bool), np.ones(2, bool), MODERN)
  assert out.tolist() == [NEGATIVE, 0]


def test_a_matcher_with_impossible_overlaps_is_named():
  with pytest.raises(ValueError, match=r"positive=0.3 and negative=0.7; expected"):
    Matcher(positive=0.3, negative=0.7, min_positive=0.3, low_quality=True)


def test_the_memory_is_that_of_boxes_not_of_pairs():
  n, m = 50_000, 100
  shapes = [((n, 4), "float32"), ((m, 4), "float32"), ((n,), bool), ((m,), bool)]
  arguments = [jax.ShapeDtypeStruct(*x) for x in shapes]
  memory = run.lower(RPN, *arguments, MODERN).compile().memory_analysis()
  assert memory.temp_size_in_bytes < 60 * n  # the pairs would take 400 n


def test_objects_stand_before_the_candidates_with_themselves():
  boxes, matched = prepend_truths(
    jnp.ones((2, 4)), jnp.array([4, NEGATIVE]), jnp.zeros((3, 4)), jnp.array([True, False, True])
  )
  np.testing.assert_array_equal(boxes.sum(1), [0, 0, 0, 4, 4])
  assert matched.tolist() == [0, IGNORED, 2, 4, NEGATIVE]


@functools.partial(jax.jit, static_argnames=("number", "fraction"))
def draw(key, matched, number, fraction):
  return sample(key, matched, number, fraction)


@pytest.mark.parametrize(
  ("objects", "background", "taken", "filled"),
  [
    (0, 500, 0, 64),  # an image without objects
    (3, 500, 3, 61),
    (200, 500, 16, 48),  # surplus objects are dropped
    (200, 5, 16, 5),  # too few of both
    (200, 0, 16, 0),
    (16, 48, 16, 48),
    (0, 0, 0, 0),
  ],
)
def test_subsets_have_exactly_the_wanted_size(objects, background, taken, filled):
  rng = np.random.default_rng(objects)
  matched = np.full(800, IGNORED, np.int32)
  matched[:objects] = rng.integers(0, 9, objects)
  matched[objects : objects + background] = NEGATIVE
  matched = rng.permutation(matched)
  out = jax.tree.map(np.asarray, draw(jax.random.key(1), matched, 64, 0.25))
  assert (out.positive.sum(), out.valid.sum()) == (taken, taken + filled)
  assert out.positive[:taken].all()
  assert out.valid[: taken + filled].all()
  chosen = out.indices[out.valid]
  assert len(set(chosen)) == len(chosen)
  np.testing.assert_array_equal(matched[chosen] >= 0, out.positive[out.valid])
  assert (matched[chosen] != IGNORED).all()
  np.testing.assert_array_equal(out.matched[out.positive], matched[out.indices[out.positive]])
  assert not out.indices[~out.valid].any()
  assert not out.matched[~out.positive].any()


def test_fewer_candidates_than_samples():
  out = draw(jax.random.key(0), jnp.array([2, NEGATIVE, IGNORED], jnp.int32), 8, 0.5)
  assert out.indices.tolist() == [0, 1, 0, 0, 0, 0, 0, 0]
  assert out.matched.tolist() == [2, 0, 0, 0, 0, 0, 0, 0]
  assert out.valid.tolist() == [True] * 2 + [False] * 6


def test_every_candidate_is_equally_likely():
  matched = np.where(np.arange(60) < 20, 0, NEGATIVE).astype(np.int32)
  keys = jax.random.split(jax.random.key(0), 4000)
  out = jax.vmap(lambda key: draw(key, matched, 16, 0.25))(keys)
  hits = np.bincount(np.asarray(out.indices).ravel(), minlength=60) / len(keys)
  # 4 of 20 with an object and 12 of 40 without; five standard errors.
  np.testing.assert_allclose(hits[:20], 0.2, atol=5 * np.sqrt(0.2 * 0.8 / 4000))
  np.testing.assert_allclose(hits[20:], 0.3, atol=5 * np.sqrt(0.3 * 0.7 / 4000))


def test_keys_decide():
  matched = np.where(np.arange(900) % 3 == 0, 1, NEGATIVE).astype(np.int32)
  a, b, c = (draw(jax.random.key(k), matched, 64, 0.5).indices for k in (1, 1, 2))
  np.testing.assert_array_equal(a, b)
  assert (a != c).mean() > 0.9
