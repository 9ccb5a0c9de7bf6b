"""The network for classification: the ImageNet neck and a pooled head."""

from typing import Any

from hrnet_jax.models.network import Network, build_backbone
from hrnet_jax.tasks.classification.head import PooledHead
from hrnet_jax.tasks.classification.neck import ImageNetNeck


def build_model(*, num_classes: int, **trunk: Any) -> Network:
  """Logits `(B, num_classes)`; lib/models/cls_hrnet.py. Sides must be multiples of 32."""
  backbone = build_backbone(**trunk)
  features = ImageNetNeck(backbone.layer_config)
  return Network(
    "classification", backbone, features, PooledHead(num_classes, backbone.layer_config)
  )
