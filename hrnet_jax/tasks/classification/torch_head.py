"""The reference's classifier in PyTorch, for comparisons alone."""

from torch import Tensor, nn

from hrnet_jax.models.backbone import HRNetConfig
from hrnet_jax.parity.torch_hrnet import Trunk, bottleneck, conv_norm


class TorchClassifier(Trunk):
  """A funnel over all maps, and their mean: `(B, 3, H, W) -> (B, K)`; lib/models/cls_hrnet.py."""

  def __init__(self, num_outputs: int, config: HRNetConfig, upsample: str, channels: int = 3):
    super().__init__(config, upsample, channels)
    sizes = [32 * 2**i for i in range(4)]
    pairs = zip(self.widths, sizes, strict=True)
    self.incre_modules = nn.ModuleList(nn.Sequential(bottleneck(c, size)) for c, size in pairs)
    self.downsamp_modules = nn.ModuleList(
      conv_norm(4 * size, 8 * size, stride=2, bias=True) for size in sizes[:3]
    )
    self.final_layer = conv_norm(1024, 2048, 1, bias=True)
    self.classifier = nn.Linear(2048, num_outputs)

  def forward(self, x: Tensor) -> Tensor:
    xs = [layer(x) for layer, x in zip(self.incre_modules, self.maps(x), strict=True)]
    y = xs[0]
    for down, x in zip(self.downsamp_modules, xs[1:], strict=True):
      y = x + down(y)
    return self.classifier(self.final_layer(y).mean((2, 3)))
