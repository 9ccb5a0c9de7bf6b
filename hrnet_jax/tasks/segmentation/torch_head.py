"""The reference's segmentation network in PyTorch, for comparisons alone."""

from hrnet_jax.parity.torch_hrnet import PixelTrunk


class TorchSegmentation(PixelTrunk):
  """`(B, 3, H, W)` -> scores `(B, K, H / 4, W / 4)`; lib/models/seg_hrnet.py."""

  head_name = "last_layer"
