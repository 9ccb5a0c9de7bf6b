"""Loss of heat maps: `heat maps (B, h, w, L) x 2 -> scalar`."""

import jax
import jax.numpy as jnp


def mean_squared_error(
  outputs: jax.Array,
  targets: jax.Array,
  mask: jax.Array | None = None,
  annotated: jax.Array | None = None,
) -> jax.Array:
  """Mean over everything, landmarks without a target included.

  As `MSELoss` with its defaults, which tools/train.py of the reference takes: no half, no weights.

  The map of a landmark that is not annotated has no error and no gradient, whatever its target. The
  mean stays one over all maps, so that a landmark weighs the same in every batch, however many of
  the others are missing.

  Args:
    outputs: `(B, h, w, L)`, any float; the mean is taken in float32 or wider.
    targets: `(B, h, w, L)`.
    mask: `(B,)`, False for examples that do not count; without any that counts the loss is zero.
    annotated: `(B, L)`, False for landmarks that are missing; None where none is.
  """
  outputs = outputs.astype(jnp.promote_types(outputs.dtype, jnp.float32))
  errors = outputs - targets
  if annotated is not None:
    # Before squares are taken: the gradient of a square of NaN is NaN, whatever its factor.
    errors = jnp.where(annotated[:, None, None], errors, 0)
  errors = jnp.square(errors)
  if mask is None:
    return errors.mean()
  by_example = jnp.where(mask, errors.mean((1, 2, 3)), 0)
  return by_example.sum() / jnp.maximum(mask.sum(), 1)
