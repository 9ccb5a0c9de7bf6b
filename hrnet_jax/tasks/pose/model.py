"""The network for pose: HRNetV1 with a heat map for each joint."""

import dataclasses
from typing import Any

from hrnet_jax.models.heads import LinearHead
from hrnet_jax.models.network import Network, build_backbone, build_neck


def build_model(*, num_landmarks: int, **trunk: Any) -> Network:
  """HRNetV1: heat maps at stride 4, `(B, H / 4, W / 4, num_landmarks)`; pose_hrnet.py."""
  backbone = dataclasses.replace(build_backbone(**trunk), outputs=1)
  features = build_neck("v1", backbone)
  return Network("pose", backbone, features, LinearHead(num_landmarks, backbone.layer_config))
