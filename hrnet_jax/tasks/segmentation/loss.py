"""Losses of dense classification: `logits (B, H, W, K), labels (B, H, W) -> scalar`."""

from collections.abc import Sequence
import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from hrnet_jax.errors import UserError
from hrnet_jax.ops.log_loss import log_loss


@dataclasses.dataclass(frozen=True, kw_only=True)
class HardExamples:
  """Which pixels online hard example mining keeps (`OhemCrossEntropy` in lib/core/criterion.py).

  Attributes:
    threshold: pixels whose true class has at least this probability are left out,
    min_kept: unless fewer than this many would be left; then the hardest are kept.
    num_groups: equal parts of the batch, consecutive images each, that select on their own and
      whose losses are averaged. The reference selects on each of its GPUs, so `num_groups` is its
      number of GPUs; with 1 the selection is over the whole global batch. Neither depends on how
      many devices there are here. A batch that is run in parts has `num_groups` in each of them.

  Raises:
    ValueError: a number is out of range.
  """

  threshold: float
  min_kept: int
  num_groups: int = 1

  def __post_init__(self):
    if not 0 < self.threshold <= 1:
      raise UserError(f"loss.ohem.threshold is {self.threshold}, expected 0 < it <= 1")
    if self.min_kept < 0 or self.num_groups < 1:
      raise UserError(
        f"loss.ohem.min_kept is {self.min_kept} and num_groups is {self.num_groups}; expected 0 or "
        "more, and 1 or more"
      )


def cross_entropy(
  logits: jax.Array,
  labels: jax.Array,
  *,
  ignore: int,
  class_weights: Sequence[float] | None = None,
) -> jax.Array:
  """Weighted mean cross entropy over the pixels that count.

  As PyTorch's `CrossEntropyLoss` in lib/core/criterion.py: the sum of weighted terms is
  divided by the sum of the weights. Without a pixel that counts the loss is zero, where the
  reference's is not a number.

  Args:
    logits: `(B, H, W, K)` at the size of the labels.
    labels: `(B, H, W)` integers.
    ignore: label of the pixels that do not count.
    class_weights: `K` weights; all one by default.
  """
  counts = labels != ignore
  weight = _pixel_weights(labels, counts, class_weights, logits.dtype)
  nll = jnp.where(counts, log_loss(logits, labels), 0)
  total = weight.sum()
  return (nll * weight).sum() / jnp.where(total > 0, total, 1)


def total_weight(
  labels: jax.Array, *, ignore: int, class_weights: Sequence[float] | None = None
) -> jax.Array:
  """The divisor of `cross_entropy`: the sum of the weights of the pixels that count.

  Arguments as there.
  """
  return _pixel_weights(labels, labels != ignore, class_weights, jnp.result_type(float)).sum()


def dense_cross_entropy(
  logits: jax.Array,
  labels: jax.Array,
  *,
  ignore: int,
  class_weights: Sequence[float] | None = None,
) -> jax.Array:
  """Weighted cross entropy, divided by the number of all pixels, ignored ones included.

  What the reference's trainer (branch HRNet-OCR) makes of the auxiliary output beside hard
  example mining: the criterion leaves that term as a map, zero at ignored pixels, and the mean is
  taken over the whole map. Arguments as `cross_entropy`.
  """
  counts = labels != ignore
  weight = _pixel_weights(labels, counts, class_weights, logits.dtype)
  return (jnp.where(counts, log_loss(logits, labels), 0) * weight).mean()


def hard_cross_entropy(
  logits: jax.Array,
  labels: jax.Array,
  hard: HardExamples,
  *,
  ignore: int,
  class_weights: Sequence[float] | None = None,
) -> jax.Array:
  """Mean of the weighted cross entropy over the hard pixels of each group of images.

  Of the `n` pixels of a group that count, sorted by the probability `q` of their true class, the
  one at position `min(max(min_kept, 1), n - 1)` or `threshold`, whichever is larger, is the
  limit; pixels strictly below it are kept. The mean is plain: it is divided by the number of
  kept pixels, not by their weights. No gradient flows through the selection.

  A group that keeps no pixel, because all of its labels are ignored or its only pixel is easy,
  has the loss zero, where the reference fails or its loss is not a number. Scores that are not
  numbers give a loss that is not one.

  Args:
    logits: `(B, H, W, K)` at the size of the labels; float32 or float64.
    labels: `(B, H, W)` integers.
    hard: the rule.
    ignore: label of the pixels that do not count.
    class_weights: `K` weights; all one by default.

  Raises:
    ValueError: the batch does not divide into the groups.
  """
  if logits.shape[0] % hard.num_groups:
    raise UserError(
      f"loss.ohem.num_groups is {hard.num_groups}, but {logits.shape[0]} images (train.batch_size "
      "/ train.accumulate) do not divide into that many groups"
    )
  counts = labels != ignore
  nll = jnp.where(counts, log_loss(logits, labels), 0)
  kept = _select(jax.lax.stop_gradient(nll), counts, hard)
  weight = _pixel_weights(labels, counts, class_weights, logits.dtype)
  total = _grouped(jnp.where(kept, nll * weight, 0), hard.num_groups).sum(axis=(1, 2, 3))
  number = _grouped(kept, hard.num_groups).sum(axis=(1, 2, 3))
  return (total / jnp.maximum(number, 1)).mean()


def _select(nll: jax.Array, counts: jax.Array, hard: HardExamples) -> jax.Array:
  """Whether each pixel is kept, `(B, H, W)`."""
  q = _grouped(jnp.where(counts, jnp.exp(-nll), jnp.inf), hard.num_groups)
  n = _grouped(counts, hard.num_groups).sum(axis=(1, 2, 3))
  position = jnp.clip(n - 1, 0, max(hard.min_kept, 1))
  limit = jnp.maximum(kth_smallest(q, position), hard.threshold)[:, None, None, None]
  # Written so that a probability that is not a number is kept, and shows in the loss.
  return ~(q >= limit).reshape(counts.shape) & counts


def kth_smallest(values: jax.Array, position: jax.Array) -> jax.Array:
  """Exact order statistic of each row, by bisection on the bits instead of a sort.

  Numbers that are not negative are ordered as their bit patterns. Each bit costs one count over
  the row, which may be split over devices: a sort would gather it.

  Args:
    values: `(G, ...)` float32 or float64, 0 or more; infinity is allowed.
    position: `(G,)` integers, counted from 0.

  Returns:
    `(G,)`: in each row of `values` the one at `position` in ascending order.
  """
  width = jnp.finfo(values.dtype).bits
  unsigned = jnp.dtype(f"uint{width}")
  bits = jax.lax.bitcast_convert_type(values, unsigned)
  rows, axes = (-1,) + (1,) * (values.ndim - 1), tuple(range(1, values.ndim))

  def narrow(k: jax.Array, found: jax.Array) -> jax.Array:
    # The largest pattern with no more than `position` values below it is the value itself.
    candidate = found | (jnp.ones((), unsigned) << (width - 2 - k).astype(unsigned))
    below = (bits < candidate.reshape(rows)).sum(axes, dtype=jnp.int32)
    return jnp.where(below <= position, candidate, found)

  found = jax.lax.fori_loop(0, width - 1, narrow, jnp.zeros(values.shape[0], unsigned))
  return jax.lax.bitcast_convert_type(found, values.dtype)


def _grouped(x: jax.Array, groups: int) -> jax.Array:
  """`(B, H, W) -> (groups, B / groups, H, W)`."""
  return x.reshape(groups, -1, *x.shape[1:])


def _pixel_weights(
  labels: jax.Array, counts: jax.Array, class_weights: Sequence[float] | None, dtype: jnp.dtype
) -> jax.Array:
  """The weight of each pixel's class, zero where it does not count; `(B, H, W)`."""
  weight = counts.astype(dtype)
  if class_weights:
    # The reference keeps them in float32, also in a float64 run.
    table = jnp.asarray(np.asarray(class_weights, np.float32), dtype)
    weight *= table[jnp.where(counts, labels, 0).astype(jnp.int32)]
  return weight
