"""The network for segmentation: HRNetV2 with a pixel head or the object-contextual one."""

from typing import Any

from hrnet_jax.errors import lookup
from hrnet_jax.models.heads import PixelHead
from hrnet_jax.models.network import Network, build_backbone, build_neck
from hrnet_jax.tasks.segmentation.ocr import OCRHead


def build_model(
  *,
  num_classes: int,
  upsample: str,
  bn_momentum: float = 0.01,
  representation: str = "v2",
  head: str = "pixel",
  **trunk: Any,
) -> Network:
  """Logits at stride 4, `(B, H / 4, W / 4, num_classes)`; lib/models/seg_hrnet.py.

  With the `ocr` head a pair, auxiliary and main; lib/models/seg_hrnet_ocr.py.
  """
  backbone = build_backbone(upsample=upsample, bn_momentum=bn_momentum, **trunk)
  features = build_neck(representation, backbone, known=("v1", "v1h", "v2"))
  build_head = lookup({"pixel": PixelHead, "ocr": OCRHead}, head, "head")
  return Network("segmentation", backbone, features, build_head(num_classes, backbone.layer_config))
