"""Sums of maps of several resolutions: `((B, h_j, w_j, C), ...) -> (B, H, W, C)`."""

from collections.abc import Sequence
import dataclasses
import functools
import itertools
import operator
from typing import Any

import jax
import jax.numpy as jnp

from hrnet_jax.ops.conv import conv, conv_bias_relu
from hrnet_jax.ops.cpu import sums
from hrnet_jax.ops.resize import Resize, resize


def sum_maps(
  maps: Sequence[jax.Array], size: tuple[int, int], method: Resize, *, relu: bool
) -> jax.Array:
  """The sum of maps on one grid, in their order, as floating point addition is not associative.

  Args:
    maps: each `(B, h_j, w_j, C)`.
    size: `(H, W)` of the grid; maps of another are resized.
    method: how.
    relu: whether a ReLU follows.

  Returns:
    `(B, H, W, C)` in the dtype of the maps.
  """
  plain = functools.partial(_in_steps, size=size, method=method, relu=relu)
  if sums.serves(maps, size):
    return sums.sum_maps(plain, tuple(size), method, relu, *maps)
  return plain(*maps)


@dataclasses.dataclass(frozen=True)
class Concatenation:
  """Maps that are one map once they are resized and concatenated: `(B, H, W, sum of C_j)`.

  Attributes:
    maps: each `(B, h_j, w_j, C_j)`; the first is on the grid of the whole.
    method: how the others are resized.
  """

  maps: tuple[jax.Array, ...]
  method: Resize

  @property
  def size(self) -> tuple[int, int]:
    """`(H, W)`."""
    return self.maps[0].shape[1:3]

  @property
  def shape(self) -> tuple[int, ...]:
    """`(B, H, W, sum of C_j)`."""
    return (*self.maps[0].shape[:3], sum(x.shape[-1] for x in self.maps))

  def array(self) -> jax.Array:
    """The one map."""
    return jnp.concatenate([resize(x, self.size, self.method) for x in self.maps], axis=-1)

  def serves(self, dtype: Any) -> bool:
    """Whether `pointwise_conv` is faster than making the one map, for products in this dtype."""
    return self.maps[0].dtype == dtype and sums.serves(self.maps, self.size)

  def pointwise_conv(
    self, kernel: jax.Array, bias: jax.Array | None = None, *, relu: bool = False
  ) -> jax.Array:
    """A 1x1 convolution of the one map, from the separate ones.

    Resizing acts on pixels and the convolution on channels, both are linear: their order does not
    matter but for rounding. On their own grids coarse maps, which have the most channels, cost an
    eighth of the products of HRNetV2 in all. That is faster where the sum of the many resized
    channels is one pass over memory.

    Args:
      kernel: `(1, 1, sum of C_j, K)`.
      bias: `(K,)`, part of a folded convolution, for inference; None for none.
      relu: whether a ReLU follows.

    Returns:
      `(B, H, W, K)`.
    """
    ends = list(itertools.accumulate(x.shape[-1] for x in self.maps))
    parts = jnp.split(kernel, ends[:-1], axis=2)
    terms = [conv(x, part) for x, part in zip(self.maps, parts, strict=True)]
    if bias is not None:
      terms[0] = conv_bias_relu(self.maps[0], parts[0], bias, relu=False)
    return sum_maps(terms, self.size, self.method, relu=relu)


def _in_steps(*maps: jax.Array, size: tuple[int, int], method: Resize, relu: bool) -> jax.Array:
  total = functools.reduce(operator.add, [resize(x, size, method) for x in maps])
  return jax.nn.relu(total) if relu else total
