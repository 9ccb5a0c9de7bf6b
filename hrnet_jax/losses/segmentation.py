"""Losses of dense classification: `logits (B, H, W, K), labels (B, H, W) -> scalar`."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np


def pixel_nll(logits: jax.Array, labels: jax.Array) -> jax.Array:
  """Negative log likelihood of every pixel's class.

  Args:
    logits: `(B, H, W, K)`, float32 or wider.
    labels: `(B, H, W)` integers; a value outside `[0, K)` gives the normaliser alone.

  Returns:
    `(B, H, W)` in the dtype of `logits`.
  """
  # A comparison fuses into the reduction; a gather would turn into a scatter in the gradient.
  classes = jnp.arange(logits.shape[-1], dtype=jnp.int32)
  hit = labels.astype(jnp.int32)[..., None] == classes
  return jax.nn.logsumexp(logits, axis=-1) - jnp.where(hit, logits, 0).sum(-1)


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
  weight = counts.astype(logits.dtype)
  if class_weights:
    # The reference keeps them in float32, also in a float64 run.
    table = jnp.asarray(np.asarray(class_weights, np.float32), logits.dtype)
    weight *= table[jnp.where(counts, labels, 0).astype(jnp.int32)]
  nll = jnp.where(counts, pixel_nll(logits, labels), 0)
  total = weight.sum()
  return (nll * weight).sum() / jnp.where(total > 0, total, 1)
