"""Losses of two-stage detection on padded samples: `outputs (B, S, ...), flags (B, S) -> scalar`.

Flags: `valid` is a sample at all, `positive` has an object. What is not valid may hold any finite
value. The divisors are those of mmdetection, of the whole batch instead of each GPU's images.
"""

import jax
import jax.numpy as jnp

from hrnet_jax.ops.log_loss import log_loss
from hrnet_jax.tasks.detection.heads import select_class


def smooth_l1(errors: jax.Array, beta: float) -> jax.Array:
  """Parabola up to `beta`, a line with slope one beyond; with `beta` 0 the absolute value.

  Args:
    errors: any shape.
    beta: where the two meet, 0 or more.

  Raises:
    ValueError: `beta` is negative.
  """
  if beta < 0:
    raise ValueError(f"beta of smooth_l1 is {beta}, expected 0 or more")
  size = abs(errors)
  if beta == 0:
    return size
  return jnp.where(size < beta, 0.5 * jnp.square(errors) / beta, size - 0.5 * beta)


def binary_nll(logits: jax.Array, targets: jax.Array) -> jax.Array:
  """Negative log likelihood of targets between 0 and 1; elementwise, float32 or wider."""
  logits = _wide(logits)
  return jax.nn.softplus(logits) - logits * targets


def rpn_divisor(positive: jax.Array, valid: jax.Array) -> jax.Array:
  """Samples with and without object, of each image at least one of either, in sum.

  Args:
    positive: `(B, S)` bool.
    valid: `(B, S)` bool.
  """
  with_object = (positive & valid).sum(-1)
  without = (~positive & valid).sum(-1)
  return (jnp.maximum(with_object, 1) + jnp.maximum(without, 1)).sum()


def rpn_losses(
  logits: jax.Array,
  deltas: jax.Array,
  targets: jax.Array,
  *,
  positive: jax.Array,
  valid: jax.Array,
  beta: float,
) -> tuple[jax.Array, jax.Array]:
  """Whether there is an object, and where; both divided by `rpn_divisor`.

  Args:
    logits: `(B, S)` of the sampled anchors.
    deltas: `(B, S, 4)` predicted.
    targets: `(B, S, 4)` of the samples with object.
    positive: `(B, S)` bool.
    valid: `(B, S)` bool.
    beta: see `smooth_l1`.

  Returns:
    Two scalars: classification, regression.
  """
  divisor = rpn_divisor(positive, valid)
  classification = jnp.where(valid, binary_nll(logits, positive), 0).sum()
  return classification / divisor, _regression(deltas, targets, positive & valid, beta) / divisor


def box_divisor(valid: jax.Array) -> jax.Array:
  """Number of samples, with and without object, at least one; `(B, S) -> ()`."""
  return jnp.maximum(valid.sum(), 1)


def box_losses(
  logits: jax.Array,
  deltas: jax.Array,
  targets: jax.Array,
  *,
  labels: jax.Array,
  objects: jax.Array,
  positive: jax.Array,
  valid: jax.Array,
  beta: float,
) -> tuple[jax.Array, jax.Array]:
  """Class and refined box of the sampled regions; both divided by `box_divisor`.

  Args:
    logits: `(B, S, K + 1)`; the caller decides which one is background.
    deltas: `(B, S, K, 4)` of each class, or `(B, S, 1, 4)` of all.
    targets: `(B, S, 4)` of the samples with object.
    labels: `(B, S)` integers, index of the true logit, that of background included.
    objects: `(B, S)` integers, index of the true class in `deltas`; any without object.
    positive: `(B, S)` bool.
    valid: `(B, S)` bool.
    beta: see `smooth_l1`.

  Returns:
    Two scalars: classification, regression.
  """
  divisor = box_divisor(valid)
  classification = jnp.where(valid, log_loss(_wide(logits), labels), 0).sum()
  own = deltas[..., 0, :] if deltas.shape[-2] == 1 else select_class(deltas, objects)
  return classification / divisor, _regression(own, targets, positive & valid, beta) / divisor


def mask_divisor(positive: jax.Array, size: int) -> jax.Array:
  """Pixels of the masks of all samples with object, at least one; `(B, S) -> ()`."""
  return jnp.maximum(positive.sum() * size**2, 1)


def mask_loss(
  logits: jax.Array, targets: jax.Array, *, objects: jax.Array, positive: jax.Array
) -> jax.Array:
  """Mean over the pixels of the true class's masks; zero without any object.

  Args:
    logits: `(B, S, h, w, K)`.
    targets: `(B, S, h, w)`, 0 or 1.
    objects: `(B, S)` integers, the class of each.
    positive: `(B, S)` bool; the others do not count.
  """
  own = select_class(jnp.moveaxis(logits, -1, 2), objects)
  errors = jnp.where(positive[..., None, None], binary_nll(own, targets), 0)
  return errors.sum() / mask_divisor(positive, targets.shape[-1])


def _regression(deltas, targets, counts, beta):
  errors = smooth_l1(_wide(deltas) - targets, beta)
  return jnp.where(counts[..., None], errors, 0).sum()


def _wide(x):
  return x.astype(jnp.promote_types(x.dtype, jnp.float32))
