"""HRNet trunk: `(B, H, W, 3)` -> four maps at strides 4, 8, 16 and 32."""

import dataclasses

import flax.linen as nn
import jax

from hrnet_jax.models.blocks import Bottleneck
from hrnet_jax.models.exchange import Pyramid, Stage, Transition
from hrnet_jax.models.layers import ConvNorm, Numerics
from hrnet_jax.models.scan import run_parts
from hrnet_jax.ops.resize import Resize

STEM_WIDTH = 64


@dataclasses.dataclass(frozen=True, kw_only=True)
class Depth:
  """Size of a network, in the terms of the paper's table 1.

  Attributes:
    width: channels C of the finest branch; branch i has C * 2**i.
    modules: exchange units in stages 2, 3 and 4.
    blocks: residual blocks of each branch between two exchanges.
    bottlenecks: residual blocks of stage 1.
    bottleneck_width: inner channels of these; stage 1 ends with four times as many.
  """

  width: int
  modules: tuple[int, int, int] = (1, 4, 3)
  blocks: int = 4
  bottlenecks: int = 4
  bottleneck_width: int = 64


VARIANTS = {
  "w18_small_v1": Depth(width=16, modules=(1, 1, 1), blocks=2, bottlenecks=1, bottleneck_width=32),
  "w18_small_v2": Depth(width=18, modules=(1, 3, 2), blocks=2, bottlenecks=2),
} | {f"w{width}": Depth(width=width) for width in (18, 30, 32, 40, 44, 48, 64)}


@dataclasses.dataclass(frozen=True)
class Level:
  """What a consumer may rely on about one output map."""

  channels: int
  stride: int


class HRNet(nn.Module):
  """High-resolution network (paper section 3): image -> pyramid.

  `(B, H, W, 3)` -> `(B, ceil(H / s), ceil(W / s), C * s / 4)` for s in 4, 8, 16, 32. Sizes
  need not be multiples of 32.

  Attributes:
    depth: size of the network.
    upsample: interpolation in the exchange units.
    numerics: see `Numerics`.
    outputs: how many maps the last exchange computes; HRNetV1 computes the finest alone.
    scan_layers: equal parts are loops: another program with the same variables, which compiles
      faster.
    remat: the backward pass computes the inside of stage 1 and of every exchange module again.
  """

  depth: Depth
  upsample: Resize
  numerics: Numerics
  outputs: int = 4
  scan_layers: bool = False
  remat: bool = False

  @property
  def levels(self) -> tuple[Level, ...]:
    """What the maps are, finest first."""
    return tuple(Level(self.depth.width * 2**i, 4 * 2**i) for i in range(self.outputs))

  @nn.compact
  def __call__(self, images: jax.Array, *, train: bool) -> Pyramid:
    if images.ndim != 4 or images.shape[-1] != 3:
      raise ValueError(f"HRNet expects images (B, H, W, 3), got shape {images.shape}")
    n, depth = self.numerics, self.depth
    x = images.astype(n.dtype)
    for i in (1, 2):
      x = ConvNorm(STEM_WIDTH, n, stride=2, name=f"stem_{i}")(x, train=train)
    xs: Pyramid = (self._stage1(x, train),)
    for stage, modules in enumerate(depth.modules, start=2):
      widths = tuple(depth.width * 2**i for i in range(stage))
      xs = Transition(widths, n, name=f"transition{stage}")(xs, train=train)
      outputs = self.outputs if stage == 4 else None
      options = {"outputs": outputs, "scan_layers": self.scan_layers, "remat": self.remat}
      part = Stage(modules, depth.blocks, self.upsample, n, **options, name=f"stage{stage}")
      xs = part(xs, train=train)
    return xs

  def _stage1(self, x: jax.Array, train: bool) -> jax.Array:
    if not self.remat or self.is_initializing():
      return _bottlenecks(self, x, train)
    part = _Bottlenecks(self.depth, self.numerics, self.scan_layers, parent=None)
    names = [f"stage1_{block}" for block in range(self.depth.bottlenecks)]
    return run_parts(self, part, [dict(zip(names, names, strict=True))], x, train=train, remat=True)


class _Bottlenecks(nn.Module):
  """Stage 1 apart from the network, whose names it uses."""

  depth: Depth
  numerics: Numerics
  scan_layers: bool

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
    return _bottlenecks(self, x, train)


def _bottlenecks(owner: HRNet | _Bottlenecks, x: jax.Array, train: bool) -> jax.Array:
  """The blocks of stage 1 as submodules of `owner`; all but the first are alike."""
  width, n = owner.depth.bottleneck_width, owner.numerics
  names = [f"stage1_{block}" for block in range(owner.depth.bottlenecks)]
  rolled = owner.scan_layers and not owner.is_initializing()
  for name in names[:1] if rolled else names:
    x = Bottleneck(width, n, name=name)(x, train=train)
  if rolled:
    x = run_parts(
      owner, Bottleneck(width, n, parent=None), names[1:], x, train=train, scan_layers=True
    )
  return x
