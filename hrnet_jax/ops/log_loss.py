"""Log loss of scored classes: `logits (..., K), labels (...) -> (...)`."""

import jax
import jax.numpy as jnp


def log_loss(logits: jax.Array, labels: jax.Array) -> jax.Array:
  """Negative log likelihood of every position's class.

  Args:
    logits: `(..., K)`, float32 or wider.
    labels: `(...)` integers; a value outside `[0, K)` gives the normaliser alone.

  Returns:
    `(...)` in the dtype of `logits`.
  """
  # A comparison fuses into the reduction; a gather would turn into a scatter in the gradient.
  classes = jnp.arange(logits.shape[-1], dtype=jnp.int32)
  hit = labels.astype(jnp.int32)[..., None] == classes
  return jax.nn.logsumexp(logits, axis=-1) - jnp.where(hit, logits, 0).sum(-1)
