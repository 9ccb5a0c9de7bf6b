"""Training-mode batch normalisation with a closed-form gradient: `(B, H, W, C)` -> the same."""

import math

import jax
from jax.ad_checkpoint import checkpoint_name
import jax.numpy as jnp

from hrnet_jax.errors import UserError

STATISTICS = "statistics"  # their name, for those who choose what a gradient keeps
_AXES = (0, 1, 2)


def batch_norm(
  x: jax.Array, scale: jax.Array, bias: jax.Array, epsilon: float
) -> tuple[jax.Array, jax.Array, jax.Array]:
  """Normalises by the statistics of the batch.

  Under `jit` the batch is the global one, whatever its sharding. The gradient is the closed
  form: two reductions and one pass over the map, where automatic differentiation keeps
  several maps alive. It treats the returned statistics as constants.

  Args:
    x: `(B, H, W, C)`.
    scale: `(C,)`, the gamma of the paper, in the dtype that statistics are computed in.
    bias: `(C,)`, beta.
    epsilon: added to the variance.

  Returns:
    The normalised map in the dtype of `x`, and the mean and the biased variance, `(C,)`.
  """
  return _normalise(x, scale, bias, epsilon)


@jax.custom_vjp
def _with_gradient(
  x: jax.Array, scale: jax.Array, bias: jax.Array, epsilon: float
) -> tuple[jax.Array, jax.Array, jax.Array]:
  return _forward(x, scale, bias, epsilon)[0]


def _forward(
  x: jax.Array, scale: jax.Array, bias: jax.Array, epsilon: float
) -> tuple[tuple[jax.Array, ...], tuple[jax.Array, ...]]:
  wide = x.astype(scale.dtype)
  mean = checkpoint_name(wide.mean(_AXES), STATISTICS)
  var = checkpoint_name(jnp.square(wide - mean).mean(_AXES), STATISTICS)
  inverse = jax.lax.rsqrt(var + epsilon)
  gain = scale * inverse
  y = (wide * gain + (bias - mean * gain)).astype(x.dtype)
  return (y, mean, var), (x, scale, mean, inverse)


def _backward(
  residuals: tuple[jax.Array, ...], cotangents: tuple[jax.Array, ...]
) -> tuple[jax.Array, jax.Array, jax.Array, None]:
  x, scale, mean, inverse = residuals
  count = math.prod(x.shape[:-1])
  dy = cotangents[0].astype(scale.dtype)
  centred = x.astype(scale.dtype) - mean
  dbias = dy.sum(_AXES)
  dscale = (dy * centred).sum(_AXES) * inverse
  dx = scale * inverse * (dy - dbias / count - centred * (inverse * dscale / count))
  return dx.astype(x.dtype), dscale, dbias, None


_with_gradient.defvjp(_forward, _backward)
# Traced once for each shape; operations belong to the line that calls it, for profiles.
_normalise = jax.jit(_with_gradient, inline=True)


def grouped_batch_norm(
  x: jax.Array, scale: jax.Array, bias: jax.Array, epsilon: float, size: int
) -> tuple[jax.Array, jax.Array, jax.Array]:
  """`batch_norm` of every `size` consecutive examples apart.

  Devices that hold whole groups need nothing from each other to normalise.

  Args:
    x: `(B, H, W, C)`.
    scale: `(C,)`, as in `batch_norm`.
    bias: `(C,)`.
    epsilon: added to the variance.
    size: examples in a group; B must be a multiple of it.

  Returns:
    The normalised map in the dtype of `x`, and the means over the groups of their means and of
    their biased variances, `(C,)`.

  Raises:
    ValueError: B is not a multiple of `size`.
  """
  batch = x.shape[0]
  if batch == size:
    return batch_norm(x, scale, bias, epsilon)
  if batch % size:
    raise UserError(
      f"bn_group_size is {size}, but BatchNorm sees {batch} examples at a time; use a divisor of "
      f"{batch}, or 0 for the whole batch (with train.accumulate, the batch is one part)"
    )
  groups = x.reshape(batch // size, size, *x.shape[1:])
  y, mean, var = jax.vmap(batch_norm, in_axes=(0, None, None, None))(groups, scale, bias, epsilon)
  return y.reshape(x.shape), mean.mean(0), var.mean(0)
