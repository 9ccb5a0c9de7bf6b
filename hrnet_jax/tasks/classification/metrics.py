"""How far up the true class is: `logits (B, K), labels (B,) -> rank (B,)`."""

import jax
import jax.numpy as jnp


def rank(logits: jax.Array, labels: jax.Array) -> jax.Array:
  """Number of classes that come before the true one; it is among the best `k` if below `k`.

  Of equal logits the smaller class comes first, as in `jax.lax.top_k`. Where a logit is not a
  number, whatever is compared with it comes first: a broken network is never right.

  Args:
    logits: `(B, K)`.
    labels: `(B,)` integers in `[0, K)`.

  Returns:
    `(B,)` int32.
  """
  classes = jnp.arange(logits.shape[-1])
  labels = labels[:, None]
  true = jnp.take_along_axis(logits, labels, axis=-1)
  behind = (logits < true) | ((logits == true) & (classes >= labels))
  return (~behind).sum(-1, dtype=jnp.int32)
