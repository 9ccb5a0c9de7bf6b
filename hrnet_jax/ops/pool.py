"""Average pooling: `(B, H, W, C) -> (B, H // 2, W // 2, C)`."""

import jax
import jax.numpy as jnp
import numpy as np

_WINDOW = (1, 2, 2, 1)


@jax.custom_vjp
def average_pool(x: jax.Array) -> jax.Array:
  """Means of windows of 2 x 2; an odd last row or column is dropped, as in PyTorch.

  The gradient repeats pixels. Differentiation would sum over windows of a map with holes, which
  takes XLA's CPU backend ten times as long.

  Args:
    x: `(B, H, W, C)` floating point.
  """
  zero = np.zeros((), x.dtype)
  return jax.lax.reduce_window(x, zero, jax.lax.add, _WINDOW, _WINDOW, "VALID") / 4


def _forward(x: jax.Array) -> tuple[jax.Array, tuple[int, int]]:
  return average_pool(x), x.shape[1:3]


def _backward(size: tuple[int, int], dy: jax.Array) -> tuple[jax.Array]:
  dx = (dy / 4).repeat(2, axis=1).repeat(2, axis=2)
  rest = [(0, full - half) for full, half in zip(size, dx.shape[1:3], strict=True)]
  return (jnp.pad(dx, [(0, 0), *rest, (0, 0)]),)


average_pool.defvjp(_forward, _backward)
