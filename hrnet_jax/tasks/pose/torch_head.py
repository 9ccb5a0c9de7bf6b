"""The reference's pose network in PyTorch, for comparisons alone."""

from torch import Tensor, nn

from hrnet_jax.models.backbone import HRNetConfig
from hrnet_jax.parity.torch_hrnet import Trunk


class TorchPose(Trunk):
  """`(B, 3, H, W)` -> heat maps `(B, K, H / 4, W / 4)`, made from the finest map alone."""

  outputs = 1

  def __init__(self, num_outputs: int, config: HRNetConfig, upsample: str, channels: int = 3):
    super().__init__(config, upsample, channels)
    self.final_layer = nn.Conv2d(config.width, num_outputs, 1)

  def forward(self, x: Tensor) -> Tensor:
    return self.final_layer(self.maps(x)[0])
