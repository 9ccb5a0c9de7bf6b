"""The network for pose: HRNetV1 with a heat map for each joint."""

import dataclasses
from typing import Any

from hrnet_jax.models.heads import LinearHead
from hrnet_jax.models.network import Network, build_backbone, build_neck


def build_model(*, num_landmarks: int, **options: Any) -> Network:
  """Builds the network of lib/models/pose_hrnet.py: `(B, H / 4, W / 4, num_landmarks)` heat maps.

  Args:
    num_landmarks: joints of the data set.
    **options: see `models.network.build_backbone`.
  """
  backbone = dataclasses.replace(build_backbone(**options), outputs=1)
  neck = build_neck("v1", backbone)
  return Network("pose", backbone, neck, LinearHead(num_landmarks, backbone.layer_config))
