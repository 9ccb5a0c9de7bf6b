"""The network for landmarks: HRNetV2 with a heat map for each."""

from typing import Any

from hrnet_jax.models.heads import PixelHead
from hrnet_jax.models.network import Network, build_backbone, build_neck
from hrnet_jax.ops.resize import Resize


def build_model(
  *,
  num_landmarks: int,
  upsample: str = Resize.BILINEAR,
  bn_momentum: float = 0.01,
  representation: str = "v2",
  **options: Any,
) -> Network:
  """Builds the network of lib/models/hrnet.py: `(B, H / 4, W / 4, num_landmarks)` heat maps.

  Args:
    num_landmarks: of the data set.
    upsample: see `models.network.build_backbone`.
    bn_momentum: see `models.network.build_backbone`.
    representation: the neck, `v1`, `v1h` or `v2`.
    **options: see `models.network.build_backbone`.
  """
  backbone = build_backbone(upsample=upsample, bn_momentum=bn_momentum, **options)
  neck = build_neck(representation, backbone, known=("v1", "v1h", "v2"))
  return Network("landmarks", backbone, neck, PixelHead(num_landmarks, backbone.layer_config))
