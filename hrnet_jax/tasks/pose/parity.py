"""Parity with leoxiaobin/deep-high-resolution-net.pytorch, lib/models/pose_hrnet.py."""

from hrnet_jax.parity.comparison import TorchComparison, equal_positions

COMPARISON = TorchComparison(
  network="hrnet_jax.tasks.pose.torch_head:TorchPose",
  size=(256, 192),
  bn_momentum=0.1,
  upsample="nearest",
  decide=equal_positions,
  decision="best position of a heat map",
)
