"""Multi-resolution exchange, the part of HRNet that is not a ResNet: pyramid -> pyramid."""

from collections.abc import Callable
import functools
import operator

import flax.linen as nn
import jax

from hrnet_jax.models.blocks import BasicBlock
from hrnet_jax.models.layers import ConvNorm, Numerics
from hrnet_jax.models.scan import run_parts
from hrnet_jax.ops.resize import Resize, resize

# Finest first: map i has shape (B, ceil(H / 2**i), ceil(W / 2**i), widths[i]).
Pyramid = tuple[jax.Array, ...]


def exchange(
  xs: Pyramid, move: Callable[[int, int, jax.Array], jax.Array], outputs: int | None = None
) -> Pyramid:
  """Gives every branch the rectified sum of all branches moved to its own grid.

  A pure function of the maps: `y_i = relu(sum_j move(j, i, x_j))`, the paper's figure 3.
  Terms are added from the finest branch to the coarsest, in the order of the reference,
  because floating point addition is not associative.

  Args:
    xs: the maps, `xs[i]: (B, H_i, W_i, C_i)`.
    move: `(j, i, x_j) -> (B, H_i, W_i, C_i)`, branch j as branch i sees it.
    outputs: how many branches to compute, from the finest; all by default.

  Returns:
    Maps of the same shapes.
  """
  branches = range(len(xs))
  return tuple(
    nn.relu(functools.reduce(operator.add, [move(j, i, xs[j]) for j in branches]))
    for i in branches[:outputs]
  )


class ExchangeUnit(nn.Module):
  """`exchange` with the learned paths of HRNet: pyramid -> pyramid of the same shapes.

  The path j -> i is the identity for j = i; for j > i a 1x1 projection (`up_j_i`) at the
  coarse grid, then a resize; for j < i a chain of i - j strided 3x3 convolutions
  (`down_j_i_k`), of which only the last changes the width and skips the ReLU.
  """

  upsample: Resize
  numerics: Numerics
  outputs: int | None = None

  @nn.compact
  def __call__(self, xs: Pyramid, *, train: bool) -> Pyramid:
    n, widths = self.numerics, [x.shape[-1] for x in xs]

    def up(j: int, i: int, x: jax.Array) -> jax.Array:
      x = ConvNorm(widths[i], n, kernel=1, relu=False, name=f"up_{j}_{i}")(x, train=train)
      return resize(x, xs[i].shape[1:3], self.upsample)

    def down(j: int, i: int, x: jax.Array) -> jax.Array:
      for k in range(i - j):
        last = k == i - j - 1
        width, name = widths[i] if last else widths[j], f"down_{j}_{i}_{k}"
        x = ConvNorm(width, n, stride=2, relu=not last, name=name)(x, train=train)
      return x

    def move(j: int, i: int, x: jax.Array) -> jax.Array:
      return x if j == i else up(j, i, x) if j > i else down(j, i, x)

    return exchange(xs, move, self.outputs)


class Stage(nn.Module):
  """`modules` times residual blocks on every branch, then an exchange: pyramid -> pyramid.

  Attributes:
    modules: how many.
    blocks: of each branch in a module.
    upsample: interpolation in the exchanges.
    numerics: see `Numerics`.
    outputs: how many branches the last exchange computes, from the finest; all by default.
    scan_layers: modules, and the blocks of a branch, are loops.
    remat: the backward pass computes the inside of every module again.
  """

  modules: int
  blocks: int
  upsample: Resize
  numerics: Numerics
  outputs: int | None = None
  scan_layers: bool = False
  remat: bool = False

  @nn.compact
  def __call__(self, xs: Pyramid, *, train: bool) -> Pyramid:
    if (self.remat or (self.scan_layers and self.modules > 1)) and not self.is_initializing():
      return self._in_parts(xs, train)
    for m in range(self.modules):
      xs = tuple(self._branch(m, i, x, train) for i, x in enumerate(xs))
      outputs = self.outputs if m == self.modules - 1 else None
      unit = ExchangeUnit(self.upsample, self.numerics, outputs, name=f"exchange_{m}")
      xs = unit(xs, train=train)
    return xs

  def _branch(self, module: int, i: int, x: jax.Array, train: bool) -> jax.Array:
    names = [f"branch_{module}_{i}_{block}" for block in range(self.blocks)]
    if self.scan_layers and not self.is_initializing():
      block = BasicBlock(self.numerics, parent=None)
      return run_parts(self, block, names, x, train=train, scan_layers=True)
    for name in names:
      x = BasicBlock(self.numerics, name=name)(x, train=train)
    return x

  def _in_parts(self, xs: Pyramid, train: bool) -> Pyramid:
    """Every module is a stage of one; the last stands alone if it computes fewer branches."""
    alike = self.modules - (self.outputs not in (None, len(xs)))
    for modules, outputs in ((range(alike), None), (range(alike, self.modules), self.outputs)):
      part = self.clone(modules=1, outputs=outputs, remat=False, name=None, parent=None)
      places = [self._place(m, len(xs)) for m in modules]
      options = {"train": train, "scan_layers": self.scan_layers, "remat": self.remat}
      xs = run_parts(self, part, places, xs, **options)
    return xs

  def _place(self, module: int, branches: int) -> dict[str, str]:
    """Names of the submodules in a stage of one module -> their names here."""
    indices = [(i, block) for i in range(branches) for block in range(self.blocks)]
    names = {f"branch_0_{i}_{block}": f"branch_{module}_{i}_{block}" for i, block in indices}
    return {**names, "exchange_0": f"exchange_{module}"}


class Transition(nn.Module):
  """Adds a branch of half the resolution: n maps -> n + 1 maps of the given widths.

  A map that has its width already passes untouched; others get a 3x3 convolution
  (`keep_i`). The new one (`new_i`) comes from the coarsest map so far.
  """

  widths: tuple[int, ...]
  numerics: Numerics

  @nn.compact
  def __call__(self, xs: Pyramid, *, train: bool) -> Pyramid:
    n, new = self.numerics, len(xs)
    kept = [
      x if x.shape[-1] == width else ConvNorm(width, n, name=f"keep_{i}")(x, train=train)
      for i, (x, width) in enumerate(zip(xs, self.widths[:new], strict=True))
    ]
    added = ConvNorm(self.widths[new], n, stride=2, name=f"new_{new}")(xs[-1], train=train)
    return (*kept, added)
