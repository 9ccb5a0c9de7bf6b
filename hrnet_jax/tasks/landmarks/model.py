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
  **trunk: Any,
) -> Network:
  """Heat maps at stride 4, `(B, H / 4, W / 4, num_landmarks)`; lib/models/hrnet.py."""
  backbone = build_backbone(upsample=upsample, bn_momentum=bn_momentum, **trunk)
  features = build_neck(representation, backbone, known=("v1", "v1h", "v2"))
  return Network("landmarks", backbone, features, PixelHead(num_landmarks, backbone.layer_config))
