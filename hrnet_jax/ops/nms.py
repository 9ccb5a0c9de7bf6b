"""Greedy non-maximum suppression with static shapes: `(N, 4), (N,) -> (N,)`."""

import jax
import jax.numpy as jnp
import numpy as np

from hrnet_jax.ops.boxes import Convention, overlaps

TILE = 256  # boxes that are decided together


def nms(
  boxes: jax.Array,
  scores: jax.Array,
  threshold: float,
  *,
  convention: Convention,
  valid: jax.Array | None = None,
  groups: jax.Array | None = None,
) -> jax.Array:
  """Boxes that are left when each, from the best down, removes those that it covers too much.

  A box is removed if its intersection over union with a better one that stays is strictly above
  the threshold. Of equal scores the first box is the better one. Boxes of different groups never
  meet: groups are compared, where moving each group elsewhere would round the coordinates.

  Boxes are decided by tiles: what stays of a tile is found by repeating the removal until nothing
  changes, and then removes from all later tiles. Among 2000 boxes that is 8 tiles with a
  handful of rounds each. The result is that of the loop over all boxes. On two CPU cores, for
  10 x 2000 boxes under vmap (and 1 x 5000), tiles take 75 ms (20). The loop takes 44 to 60 ms
  (32), but its 2000 steps depend on each other, and accelerators wait for each. Rounds on the
  whole matrix of overlaps take 272 to 328 ms (114), and 4 N^2 bytes and more.

  Args:
    boxes: `(N, 4)`.
    scores: `(N,)`; not a number is worse than all.
    threshold: between 0 and 1.
    convention: of the boxes.
    valid: `(N,)` bool; the others neither stay nor remove. All by default.
    groups: `(N,)` integers, such as classes or levels. One group by default.

  Returns:
    `(N,)` bool.
  """
  n = boxes.shape[0]
  if n == 0:
    return jnp.zeros(0, bool)
  valid = jnp.ones(n, bool) if valid is None else valid
  groups = jnp.zeros(n, jnp.int32) if groups is None else groups
  tile = min(TILE, n)
  order = jnp.argsort(-scores, stable=True)  # the first of equals stays first
  padding = -n % tile
  boxes = jnp.pad(boxes[order], ((0, padding), (0, 0)))
  groups, alive = (jnp.pad(x[order], (0, padding)) for x in (groups, valid))

  def decide(k: jax.Array, alive: jax.Array) -> jax.Array:
    start = k * tile
    own, kind, candidates = (
      jax.lax.dynamic_slice_in_dim(x, start, tile) for x in (boxes, groups, alive)
    )
    kept = _within(_covers(own, kind, own, kind, threshold, convention), candidates)
    covered = (_covers(own, kind, boxes, groups, threshold, convention) & kept[:, None]).any(0)
    # What is decided stays so: rounding might see an overlap otherwise from the other box's side.
    alive &= ~covered | (jnp.arange(alive.shape[0]) < start)
    return jax.lax.dynamic_update_slice_in_dim(alive, kept, start, 0)

  alive = jax.lax.fori_loop(0, (n + padding) // tile, decide, alive)
  return jax.lax.sort((order, alive[:n]), num_keys=1)[1]


def _covers(
  a: jax.Array,
  kind_a: jax.Array,
  b: jax.Array,
  kind_b: jax.Array,
  threshold: float,
  convention: Convention,
) -> jax.Array:
  """Whether each of `a` would remove each of `b`, `(N, M)`."""
  intersection, union = overlaps(a, b, convention)
  # A product: boxes without area would divide by nothing.
  return (intersection > threshold * union) & (kind_a[:, None] == kind_b)


def _within(covers: jax.Array, candidates: jax.Array) -> jax.Array:
  """The boxes of a tile that stay, in descending order, `(T, T), (T,) -> (T,)`.

  After k rounds the best k boxes are right, and usually all of them after a few.
  """
  size = candidates.shape[0]
  covers &= np.arange(size)[:, None] < np.arange(size)

  def repeat(state: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
    kept = candidates & ~(covers & state[0][:, None]).any(0)
    return kept, (kept != state[0]).any()

  changing = (candidates, candidates.any())  # starts from the data: shard_map tells them apart
  return jax.lax.while_loop(lambda state: state[1], repeat, changing)[0]
