"""Loss of classification: `logits (B, K), labels (B,) -> scalar`."""

import jax
import jax.numpy as jnp


def nll(logits: jax.Array, labels: jax.Array) -> jax.Array:
  """Negative log likelihood of each example's class.

  Args:
    logits: `(B, K)`, float32 or wider.
    labels: `(B,)` integers in `[0, K)`.

  Returns:
    `(B,)` in the dtype of `logits`.
  """
  hit = labels[:, None] == jnp.arange(logits.shape[-1])
  return jax.nn.logsumexp(logits, axis=-1) - jnp.where(hit, logits, 0).sum(-1)


def cross_entropy(
  logits: jax.Array, labels: jax.Array, *, label_smoothing: float = 0.0
) -> jax.Array:
  """Mean cross entropy, as PyTorch's `CrossEntropyLoss` in tools/train.py.

  Args:
    logits: `(B, K)`.
    labels: `(B,)` integers in `[0, K)`.
    label_smoothing: share of the target that is spread evenly over all K classes.
  """
  loss = nll(logits, labels).mean()
  if not label_smoothing:
    return loss
  even = (jax.nn.logsumexp(logits, axis=-1) - logits.mean(-1)).mean()
  return (1 - label_smoothing) * loss + label_smoothing * even
