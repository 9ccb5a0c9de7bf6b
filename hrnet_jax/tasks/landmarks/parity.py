"""Parity with HRNet/HRNet-Facial-Landmark-Detection, lib/models/hrnet.py."""

from hrnet_jax.parity.comparison import TorchComparison, equal_positions

COMPARISON = TorchComparison(
  network="hrnet_jax.tasks.landmarks.torch_head:TorchLandmarks",
  size=(256, 256),
  bn_momentum=0.01,
  upsample="bilinear",
  only={"representation": "v2"},
  decide=equal_positions,
  decision="best position of a heat map",
)
