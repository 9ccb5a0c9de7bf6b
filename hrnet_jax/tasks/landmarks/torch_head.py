"""The reference's landmark network in PyTorch, for comparisons alone."""

from hrnet_jax.parity.torch_hrnet import PixelTrunk


class TorchLandmarks(PixelTrunk):
  """`(B, 3, H, W)` -> heat maps `(B, K, H / 4, W / 4)`; lib/models/hrnet.py."""

  head_name = "head"
