"""Parity with HRNet/HRNet-Semantic-Segmentation, lib/models/seg_hrnet.py."""

from hrnet_jax.parity.comparison import TorchComparison, equal_choices

COMPARISON = TorchComparison(
  network="hrnet_jax.tasks.segmentation.torch_head:TorchSegmentation",
  size=(128, 256),
  bn_momentum=0.01,
  # There are checkpoints with align_corners and without.
  upsample=None,
  only={"representation": "v2", "head": "pixel"},
  enlarges=True,
  decide=equal_choices,
  decision="class of a pixel",
)
