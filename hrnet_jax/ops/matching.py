"""Candidates matched with objects, and sampled: `(N, 4), (M, 4) -> (N,) -> (S,)`."""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp

from hrnet_jax.ops.boxes import Convention, iou

NEGATIVE = -1  # a candidate that learns background
IGNORED = -2  # a candidate that learns nothing


@dataclasses.dataclass(frozen=True, kw_only=True)
class Matcher:
  """The rule that assigns objects to boxes by their overlap (mmdetection's `MaxIoUAssigner`).

  Attributes:
    positive: from this overlap on a box learns the object that it covers best, the first of equals.
    negative: below this overlap with all objects it learns background; between the two nothing.
    min_positive: each object also goes to its best boxes, all that are equal, if their overlap is
      at least this, even if they cover another object better. Of several such objects
      the last counts.
    low_quality: whether objects do that.

  Raises:
    ValueError: the overlaps are not 0 <= negative <= positive <= 1, with positive above 0.
  """

  positive: float
  negative: float
  min_positive: float
  low_quality: bool

  def __post_init__(self):
    if not 0 <= self.negative <= self.positive <= 1 or self.positive == 0:
      raise ValueError(
        f"a matcher has positive={self.positive} and negative={self.negative}; expected "
        "0 <= negative <= positive <= 1 and positive > 0"
      )


def match(
  matcher: Matcher,
  boxes: jax.Array,
  truths: jax.Array,
  *,
  valid: jax.Array,
  truth_valid: jax.Array,
  convention: Convention,
) -> jax.Array:
  """Assigns objects to boxes.

  Objects are taken one after the other, so that of the N x M overlaps only N exist at a time. For
  268506 anchors and 100 objects that needs 6 MB and 40 ms on two CPU cores; the whole matrix takes
  217 MB and 350 ms. Each overlap is computed once, because an object's best boxes are found by
  equality.

  Args:
    matcher: the rule.
    boxes: `(N, 4)`.
    truths: `(M, 4)`.
    valid: `(N,)` bool; the others are ignored and no object's best.
    truth_valid: `(M,)` bool; without any, all boxes learn background.
    convention: of all boxes.

  Returns:
    `(N,)` int32: index of an object, `NEGATIVE` or `IGNORED`.
  """
  boxes, truths = jax.lax.stop_gradient((boxes, truths))
  state = (
    jnp.full_like(boxes[:, 0], -1),  # the best overlap so far,
    jnp.zeros_like(boxes[:, 0], jnp.int32),  # its object,
    jnp.full_like(boxes[:, 0], NEGATIVE, jnp.int32),  # and the last object whose best this is.
  )

  def meet(state: tuple[jax.Array, ...], item: tuple[jax.Array, ...]) -> tuple[tuple, None]:
    best, owner, forced = state
    k, truth, exists = item
    overlap = jnp.where(valid & exists, iou(boxes, truth[None], convention)[:, 0], -1)
    # Without the barrier the maximum and the comparison may each compute it, with other rounding.
    overlap = jax.lax.optimization_barrier(overlap)
    top = overlap.max()
    own = (overlap == top) & (top >= matcher.min_positive) & exists
    better = overlap > best
    return (
      jnp.where(better, overlap, best),
      jnp.where(better, k, owner),
      jnp.where(own, k, forced),
    ), None

  items = (jnp.arange(len(truths), dtype=jnp.int32), truths, truth_valid)
  (best, owner, forced), _ = jax.lax.scan(meet, state, items)
  matched = jnp.where(best < matcher.negative, NEGATIVE, IGNORED)
  matched = jnp.where(best >= matcher.positive, owner, matched)
  if matcher.low_quality:
    matched = jnp.where(forced >= 0, forced, matched)
  return jnp.where(valid, matched, IGNORED).astype(jnp.int32)


def prepend_truths(
  boxes: jax.Array, matched: jax.Array, truths: jax.Array, truth_valid: jax.Array
) -> tuple[jax.Array, jax.Array]:
  """Objects as further candidates, each with itself as its object, before the others.

  Returns:
    `(M + N, 4)` and `(M + N,)`; padding is ignored.
  """
  own = jnp.where(truth_valid, jnp.arange(len(truths), dtype=jnp.int32), IGNORED)
  return jnp.concatenate([truths, boxes]), jnp.concatenate([own, matched])


class Sample(NamedTuple):
  """A fixed number of candidates; those with an object come first.

  Attributes:
    indices: `(S,)` int32 into the candidates; 0 where there is none.
    matched: `(S,)` int32, the object of each; 0 where there is none or it is background.
    positive: `(S,)` bool, has an object.
    valid: `(S,)` bool, is a candidate at all.
  """

  indices: jax.Array
  matched: jax.Array
  positive: jax.Array
  valid: jax.Array


def sample(key: jax.Array, matched: jax.Array, number: int, positive_fraction: float) -> Sample:
  """A random subset: objects first, up to a quota, then background.

  Objects beyond the quota are left out, not turned into background. Background fills the rest, so
  that few objects mean more background. Each subset is equally likely.

  Args:
    key: of the random choice.
    matched: `(N,)` from `match`.
    number: candidates to take, S.
    positive_fraction: at most this part of them have an object.
  """
  quota = int(number * positive_fraction)
  # Whole numbers below 2^24 are exact in float32, whose top-k is many times faster on CPUs.
  noise = (jax.random.bits(key, matched.shape, jnp.uint32) >> 8).astype(jnp.float32)
  objects, n_objects = _choose(noise, matched >= 0, quota, number)
  background, n_background = _choose(noise, matched == NEGATIVE, number, number)
  slot = jnp.arange(number)
  positive = slot < n_objects
  valid = slot < jnp.minimum(n_objects + n_background, number)
  # The first of the background stands after the last object.
  indices = jnp.where(positive, objects, jnp.roll(background, n_objects))
  indices = jnp.where(valid, indices, 0)
  return Sample(indices, jnp.where(positive, matched[indices], 0), positive, valid)


def _choose(
  noise: jax.Array, candidates: jax.Array, limit: int, number: int
) -> tuple[jax.Array, jax.Array]:
  """Up to `limit` of the candidates at random: indices `(number,)`, padded, and how many."""
  limit = min(limit, len(noise))
  _, indices = jax.lax.top_k(jnp.where(candidates, noise, -1), limit)
  indices = jnp.pad(indices, (0, number - limit)).astype(jnp.int32)
  return indices, jnp.minimum(candidates.sum(dtype=jnp.int32), limit)
