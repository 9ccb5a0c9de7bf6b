"""What belongs to the class of each sample: `(B, S, K, ...), (B, S) -> (B, S, ...)`."""

import jax
import jax.numpy as jnp
import numpy as np


def of_class(outputs: jax.Array, classes: jax.Array) -> jax.Array:
  """The output of one class of each sample.

  Args:
    outputs: `(B, S, K, ...)`.
    classes: `(B, S)` integers; outside `[0, K)` the result is zero.

  Returns:
    `(B, S, ...)`.
  """
  # A comparison: the gradient of a gather would be a scatter.
  hit = classes[..., None] == np.arange(outputs.shape[2])
  return jnp.where(hit.reshape(*hit.shape, *[1] * (outputs.ndim - 3)), outputs, 0).sum(2)
