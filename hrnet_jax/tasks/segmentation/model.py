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
  **options: Any,
) -> Network:
  """Builds the network of lib/models/seg_hrnet.py: `(B, H / 4, W / 4, num_classes)` logits.

  Args:
    num_classes: of the data set.
    upsample: see `models.network.build_backbone`; checkpoints of the reference differ in it.
    bn_momentum: see `models.network.build_backbone`.
    representation: the neck, `v1`, `v1h` or `v2`.
    head: `pixel`; or `ocr`, which has a pair of outputs, auxiliary and main logits, as in
      lib/models/seg_hrnet_ocr.py.
    **options: see `models.network.build_backbone`.
  """
  backbone = build_backbone(upsample=upsample, bn_momentum=bn_momentum, **options)
  neck = build_neck(representation, backbone, known=("v1", "v1h", "v2"))
  build_head = lookup({"pixel": PixelHead, "ocr": OCRHead}, head, "head")
  return Network("segmentation", backbone, neck, build_head(num_classes, backbone.layer_config))
