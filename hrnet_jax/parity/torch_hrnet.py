"""HRNet in PyTorch under the reference's tensor names, to compare with: `(B, 3, H, W)` -> outputs.

Independent of our networks except for the table of sizes; what follows the backbone is in the
tasks' `torch_head.py`. Needs the extra `torch`: the library never imports these files by itself,
only the parity command, benchmarks and tests do, and only when they run.
"""

from collections.abc import Mapping
import functools
import operator

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from hrnet_jax.errors import UserError
from hrnet_jax.models.backbone import STEM_WIDTH, VARIANTS, HRNetConfig
from hrnet_jax.parity.comparison import comparison_of
from hrnet_jax.task_spec import resolve

Maps = list[Tensor]  # finest first, (B, C * 2**i, ceil(H / 2**(i + 2)), ceil(W / 2**(i + 2)))

# `mode` and `align_corners` of `interpolate`, by the names of `hrnet_jax.ops.resize.Resize`.
MODES = {
  "nearest": ("nearest", None),
  "bilinear": ("bilinear", False),
  "bilinear_aligned": ("bilinear", True),
}


def conv_norm(
  inputs: int,
  outputs: int,
  kernel: int = 3,
  stride: int = 1,
  *,
  relu: bool = True,
  bias: bool = False,
) -> nn.Sequential:
  """Convolution, norm and a ReLU, which are 0, 1 and 2 in the names."""
  conv = nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=bias)
  parts = [conv, nn.BatchNorm2d(outputs)]
  return nn.Sequential(*parts, nn.ReLU(inplace=True)) if relu else nn.Sequential(*parts)


class Residual(nn.Module):
  """Residual block of (kernel, inputs, outputs) convolutions: `(B, C, H, W) -> (B, K, H, W)`."""

  def __init__(self, *shapes: tuple[int, int, int]):
    super().__init__()
    self.count = len(shapes)
    for i, (kernel, inputs, outputs) in enumerate(shapes, start=1):
      conv, norm = conv_norm(inputs, outputs, kernel, relu=False)
      self.add_module(f"conv{i}", conv)
      self.add_module(f"bn{i}", norm)
    first, last = shapes[0][1], shapes[-1][2]
    self.downsample = None if first == last else conv_norm(first, last, 1, relu=False)

  def forward(self, x: Tensor) -> Tensor:
    y = x
    for i in range(1, self.count + 1):
      y = getattr(self, f"bn{i}")(getattr(self, f"conv{i}")(y))
      if i < self.count:
        y = functional.relu(y, inplace=True)
    y = y + (x if self.downsample is None else self.downsample(x))
    return functional.relu(y, inplace=True)


def basic(width: int) -> Residual:
  """Two 3x3 convolutions: `(B, width, H, W)` -> the same."""
  return Residual((3, width, width), (3, width, width))


def bottleneck(inputs: int, width: int) -> Residual:
  """1x1, 3x3 and 1x1 convolutions: `(B, inputs, H, W) -> (B, 4 * width, H, W)`."""
  return Residual((1, inputs, width), (3, width, width), (1, width, 4 * width))


class TransitionLayers(nn.ModuleList):
  """Adds a map of half the resolution, made from the coarsest: n maps -> n + 1 maps."""

  def __init__(self, old: list[int], new: list[int]):
    kept = [nn.Identity() if a == b else conv_norm(a, b) for a, b in zip(old, new, strict=False)]
    super().__init__([*kept, nn.Sequential(conv_norm(old[-1], new[-1], stride=2))])

  def forward(self, xs: Maps) -> Maps:
    return [layer(x) for layer, x in zip(self, [*xs, xs[-1]], strict=True)]


class HighResolutionModule(nn.Module):
  """Residual blocks on every map, then the exchange between maps: n maps -> `outputs` maps."""

  def __init__(self, widths: list[int], blocks: int, upsample: str, outputs: int):
    super().__init__()
    self.upsample = upsample
    self.branches = nn.ModuleList(nn.Sequential(*[basic(w) for _ in range(blocks)]) for w in widths)
    self.fuse_layers = nn.ModuleList(
      nn.ModuleList(self._path(widths, j, i) for j in range(len(widths))) for i in range(outputs)
    )

  @staticmethod
  def _path(widths: list[int], j: int, i: int) -> nn.Module:
    if j == i:
      return nn.Identity()
    if j > i:
      return conv_norm(widths[j], widths[i], 1, relu=False)
    chain = [conv_norm(widths[j], widths[j], stride=2) for _ in range(i - j - 1)]
    return nn.Sequential(*chain, conv_norm(widths[j], widths[i], stride=2, relu=False))

  def forward(self, xs: Maps) -> Maps:
    xs = [branch(x) for branch, x in zip(self.branches, xs, strict=True)]
    return [self._fuse(paths, xs, like) for paths, like in zip(self.fuse_layers, xs, strict=False)]

  def _fuse(self, paths: nn.ModuleList, xs: Maps, like: Tensor) -> Tensor:
    moved = [resize(f(x), like.shape[-2:], self.upsample) for f, x in zip(paths, xs, strict=True)]
    return functional.relu(functools.reduce(operator.add, moved), inplace=True)


def resize(x: Tensor, size: tuple[int, int], upsample: str) -> Tensor:
  """Maps `(B, C, h, w)` on the grid `size`, interpolated as `MODES` says."""
  if tuple(x.shape[-2:]) == tuple(size):
    return x
  mode, align_corners = MODES[upsample]
  return functional.interpolate(x, size=tuple(size), mode=mode, align_corners=align_corners)


class Trunk(nn.Module):
  """Stem and four stages, `(B, 3, H, W)` -> maps at strides 4, 8, 16 and 32; without a head."""

  outputs = 4  # maps that the last exchange computes

  def __init__(self, config: HRNetConfig, upsample: str, channels: int = 3):
    super().__init__()
    self.upsample = upsample
    self.widths = [config.width * 2**i for i in range(4)]
    self.conv1, self.bn1, _ = conv_norm(channels, STEM_WIDTH, stride=2)
    self.conv2, self.bn2, _ = conv_norm(STEM_WIDTH, STEM_WIDTH, stride=2)
    wide = 4 * config.bottleneck_width
    inputs = [STEM_WIDTH] + [wide] * (config.bottlenecks - 1)
    self.layer1 = nn.Sequential(*[bottleneck(c, config.bottleneck_width) for c in inputs])
    old = [wide]
    for stage, modules in enumerate(config.modules, start=2):
      new = self.widths[:stage]
      counts = [stage] * (modules - 1) + [self.outputs if stage == 4 else stage]
      units = [HighResolutionModule(new, config.blocks, upsample, count) for count in counts]
      self.add_module(f"transition{stage - 1}", TransitionLayers(old, new))
      self.add_module(f"stage{stage}", nn.Sequential(*units))
      old = new

  def maps(self, x: Tensor) -> Maps:
    """The maps of the last stage, which the heads take."""
    x = functional.relu(self.bn1(self.conv1(x)), inplace=True)
    x = functional.relu(self.bn2(self.conv2(x)), inplace=True)
    xs = self.stage2(self.transition1([self.layer1(x)]))
    xs = self.stage3(self.transition2(xs))
    return self.stage4(self.transition3(xs))


class PixelTrunk(Trunk):
  """All maps at stride 4 and two layers on them: `(B, 3, H, W) -> (B, K, H / 4, W / 4)`.

  Attributes:
    head_name: what the reference calls these layers.
  """

  head_name: str

  def __init__(self, num_outputs: int, config: HRNetConfig, upsample: str, channels: int = 3):
    super().__init__(config, upsample, channels)
    width = sum(self.widths)
    first = conv_norm(width, width, 1, bias=True)
    self.add_module(self.head_name, nn.Sequential(*first, nn.Conv2d(width, num_outputs, 1)))

  def forward(self, x: Tensor) -> Tensor:
    xs = self.maps(x)
    same = [resize(x, xs[0].shape[-2:], self.upsample) for x in xs]
    return getattr(self, self.head_name)(torch.cat(same, 1))


def build(
  task: str,
  config: HRNetConfig | str,
  num_outputs: int,
  *,
  upsample: str | None = None,
  channels: int = 3,
  bn_momentum: float | None = None,
) -> Trunk:
  """Builds the network of a task in training mode, with PyTorch's own random weights.

  Args:
    task: one that has a `parity.comparison.TorchComparison`.
    config: a size, or a key of `VARIANTS`.
    num_outputs: channels of the last layer.
    channels: of the images.
    upsample: a key of `MODES`; the value of the task's reference by default, where it has one.
    bn_momentum: weight of the new batch; the value of the task's reference by default.

  Raises:
    UserError: no such task, or no `upsample` where its checkpoints differ. KeyError: an unknown
      config.
  """
  comparison = comparison_of(task)
  upsample = upsample or comparison.upsample
  if upsample not in MODES:
    raise UserError(f"upsample of {task} has to be one of {', '.join(MODES)}; got {upsample!r}")
  size = VARIANTS[config] if isinstance(config, str) else config
  network = resolve(comparison.network)(num_outputs, size, upsample, channels)
  for module in network.modules():
    if isinstance(module, nn.BatchNorm2d):
      module.momentum = comparison.bn_momentum if bn_momentum is None else bn_momentum
  return network


def load(network: nn.Module, state_dict: Mapping[str, np.ndarray]) -> None:
  """Copies named arrays into a network; `num_batches_tracked` may be missing.

  Raises:
    UserError: names or shapes are not those of the network.
  """
  tensors = {name: torch.from_numpy(np.array(value)) for name, value in state_dict.items()}
  try:
    network.load_state_dict(tensors)
  except RuntimeError as error:
    raise UserError(f"the state_dict does not fit the model: {error}") from error
