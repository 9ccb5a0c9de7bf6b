"""The network for classification: the ImageNet neck and a pooled head."""

from typing import Any

from hrnet_jax.models.network import Network, build_backbone
from hrnet_jax.tasks.classification.head import PooledHead
from hrnet_jax.tasks.classification.neck import ImageNetNeck


def build_model(*, num_classes: int, **options: Any) -> Network:
  """Builds the network of lib/models/cls_hrnet.py: images -> logits `(B, num_classes)`.

  Args:
    num_classes: of the data set.
    **options: see `models.network.build_backbone`. With the default `upsample` the sides of images
      are multiples of 32.
  """
  backbone = build_backbone(**options)
  cfg = backbone.layer_config
  return Network("classification", backbone, ImageNetNeck(cfg), PooledHead(num_classes, cfg))
