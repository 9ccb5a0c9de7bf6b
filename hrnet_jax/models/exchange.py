"""Multi-resolution exchange, the part of HRNet that is not a ResNet: pyramid -> pyramid."""

from collections.abc import Callable
import functools
import operator

import flax.linen as nn
import jax

from hrnet_jax.models.blocks import BasicBlock, BlockSequence
from hrnet_jax.models.layers import ConvNorm, LayerConfig
from hrnet_jax.ops.resize import Resize
from hrnet_jax.ops.sum_maps import sum_maps

# Finest first: map i has shape (B, ceil(H / 2**i), ceil(W / 2**i), widths[i]).
Pyramid = tuple[jax.Array, ...]


def exchange(
  xs: Pyramid,
  move: Callable[[int, int, jax.Array], jax.Array],
  outputs: int | None = None,
  *,
  add: Callable[[list[jax.Array], int], jax.Array] = lambda terms, _: nn.relu(
    functools.reduce(operator.add, terms)
  ),
) -> Pyramid:
  """Gives every branch the rectified sum of all branches moved to its own grid.

  A pure function of the maps: `y_i = relu(sum_j move(j, i, x_j))`, the paper's figure 3.
  Terms are added from the finest branch to the coarsest, in the order of the reference,
  because floating point addition is not associative.

  Args:
    xs: the maps, `xs[i]: (B, H_i, W_i, C_i)`.
    move: `(j, i, x_j) -> (B, H_i, W_i, C_i)`, branch j as branch i sees it.
    outputs: how many branches to compute, from the finest; all by default.
    add: `(terms, i) -> y_i`, the rectified sum; one that resizes lets `move` leave it to it.

  Returns:
    Maps of the same shapes.
  """
  branches = range(len(xs))
  return tuple(add([move(j, i, xs[j]) for j in branches], i) for i in branches[:outputs])


class ExchangeUnit(nn.Module):
  """`exchange` with the learned paths of HRNet: pyramid -> pyramid of the same shapes.

  The path j -> i is the identity for j = i; for j > i a 1x1 projection (`up_j_i`) at the
  coarse grid, then a resize; for j < i a chain of i - j strided 3x3 convolutions
  (`down_j_i_k`), of which only the last changes the width and skips the ReLU.
  """

  upsample: Resize
  layer_config: LayerConfig
  outputs: int | None = None

  @nn.compact
  def __call__(self, xs: Pyramid, *, train: bool) -> Pyramid:
    cfg, widths = self.layer_config, [x.shape[-1] for x in xs]

    def up(j: int, i: int, x: jax.Array) -> jax.Array:
      return ConvNorm(widths[i], cfg, kernel=1, relu=False, name=f"up_{j}_{i}")(x, train=train)

    def down(j: int, i: int, x: jax.Array) -> jax.Array:
      for k in range(i - j):
        last = k == i - j - 1
        width, name = widths[i] if last else widths[j], f"down_{j}_{i}_{k}"
        x = ConvNorm(width, cfg, stride=2, relu=not last, name=name)(x, train=train)
      return x

    def move(j: int, i: int, x: jax.Array) -> jax.Array:
      return x if j == i else up(j, i, x) if j > i else down(j, i, x)

    def add(terms: list[jax.Array], i: int) -> jax.Array:
      return sum_maps(terms, xs[i].shape[1:3], self.upsample, relu=True)

    return exchange(xs, move, self.outputs, add=add)


class Stage(nn.Module):
  """`modules` times residual blocks on every branch, then an exchange: pyramid -> pyramid.

  Attributes:
    modules: how many.
    blocks: of each branch in a module.
    upsample: interpolation in the exchanges.
    layer_config: see `LayerConfig`.
    outputs: how many branches the last exchange computes, from the finest; all by default.
  """

  modules: int
  blocks: int
  upsample: Resize
  layer_config: LayerConfig
  outputs: int | None = None

  @nn.compact
  def __call__(self, xs: Pyramid, *, train: bool) -> Pyramid:
    def branch(m: int, i: int, x: jax.Array) -> jax.Array:
      name = f"branch_{m}_{i}"
      blocks = (BasicBlock(self.layer_config, name=f"{name}_{k}") for k in range(self.blocks))
      return BlockSequence(tuple(blocks), name=name)(x, train=train)

    for m in range(self.modules):
      xs = tuple(branch(m, i, x) for i, x in enumerate(xs))
      outputs = self.outputs if m == self.modules - 1 else None
      unit = ExchangeUnit(self.upsample, self.layer_config, outputs, name=f"exchange_{m}")
      xs = unit(xs, train=train)
    return xs


class Transition(nn.Module):
  """Adds a branch of half the resolution: n maps -> n + 1 maps of the given widths.

  A map that has its width already passes untouched; others get a 3x3 convolution
  (`keep_i`). The new one (`new_i`) comes from the coarsest map so far.
  """

  widths: tuple[int, ...]
  layer_config: LayerConfig

  @nn.compact
  def __call__(self, xs: Pyramid, *, train: bool) -> Pyramid:
    cfg, new = self.layer_config, len(xs)
    kept = [
      x if x.shape[-1] == width else ConvNorm(width, cfg, name=f"keep_{i}")(x, train=train)
      for i, (x, width) in enumerate(zip(xs, self.widths[:new], strict=True))
    ]
    added = ConvNorm(self.widths[new], cfg, stride=2, name=f"new_{new}")(xs[-1], train=train)
    return (*kept, added)
