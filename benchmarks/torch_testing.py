"""Multi-scale testing in PyTorch, to compare with: uint8 `(H, W, 3)` -> classes `(H, W)`.

Written from the protocol's definition, apart from `hrnet_jax.inference`: one image at a time in
eager mode, images resized by OpenCV and scores by `interpolate`. Needs the extra `torch`.
"""

from collections.abc import Mapping
import copy
import math

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from hrnet_jax.ops.normalize import MEAN, STD
from hrnet_jax.parity import torch_hrnet
from hrnet_jax.tasks.segmentation.test_config import MultiScaleConfig

# Memory format, and whether an image and its mirror are one batch.
VARIANTS = {
  "NCHW": (torch.contiguous_format, False),
  "channels last": (torch.channels_last, False),
  "channels last, mirror in the batch": (torch.channels_last, True),
}
Box = tuple[int, int, int, int]  # top, left, bottom, right


class TorchTesting:
  """Tests a PyTorch network under a protocol without preparation and class pairs."""

  def __init__(self, network: torch_hrnet.Trunk, protocol: MultiScaleConfig, variant: str):
    """`variant` is a key of `VARIANTS`; the network is copied."""
    self._format, self._join = VARIANTS[variant]
    self._protocol, self._mode = protocol, torch_hrnet.MODES[network.upsample]
    self._network = copy.deepcopy(network).eval().to(memory_format=self._format)

  @torch.inference_mode()
  def __call__(self, image: np.ndarray, label: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Classes `(H, W)` uint8 and the confusion matrix `(K, K)` int64 of one image."""
    scores = self.scores(image)
    prediction, truth = scores.argmax(0), torch.from_numpy(label).long()
    count, valid = len(scores), truth < len(scores)
    cells = truth[valid] * count + prediction[valid]
    matrix = torch.bincount(cells, minlength=count**2).reshape(count, count)
    return prediction.to(torch.uint8).numpy(), matrix.numpy()

  @torch.inference_mode()
  def scores(self, image: np.ndarray) -> Tensor:
    """Sums of exponentiated scores over the scales, `(K, H, W)`."""
    x = (image.astype(np.float32) / 255 - np.float32(MEAN)) / np.float32(STD)
    total = None
    for scale in self._protocol.scales:
      scores = self._at(self._scaled(x, scale), scale)
      scores = self._resize(scores, image.shape[:2])
      total = scores if total is None else total.add_(scores)
    return total[0]

  def _scaled(self, x: np.ndarray, scale: float) -> Tensor:
    height, width = x.shape[:2]
    long = int(self._protocol.base_size * scale + 0.5)
    size = (
      (long, int(width * long / height + 0.5))
      if height > width
      else (int(height * long / width + 0.5), long)
    )
    y = cv2.resize(x, size[::-1], interpolation=cv2.INTER_LINEAR)
    y = torch.from_numpy(y).permute(2, 0, 1)[None]
    return y.contiguous(memory_format=self._format)

  def _at(self, x: Tensor, scale: float) -> Tensor:
    """Scores at one scale, `(1, K, h, w)`."""
    if self._protocol.kind == "whole" and scale <= 1:
      return self._look(x)
    starts = _moved_inside if self._protocol.kind == "whole" else _overlapping
    size, crop = x.shape[2:], self._protocol.crop_size
    rows, columns = (starts(length, width) for length, width in zip(size, crop, strict=True))
    corners = [(y, z) for y in rows for z in columns]
    return self._mean(
      x, [(y, z, min(y + crop[0], size[0]), min(z + crop[1], size[1])) for y, z in corners]
    )

  def _mean(self, x: Tensor, boxes: list[Box]) -> Tensor:
    total, count = None, torch.zeros(1, 1, *x.shape[2:])
    for box in boxes:
      part = np.s_[:, :, box[0] : box[2], box[1] : box[3]]
      scores = self._look(self._padded(x[part]))[:, :, : box[2] - box[0], : box[3] - box[1]]
      if total is None:
        total = torch.zeros(1, scores.shape[1], *x.shape[2:])
      total[part] += scores
      count[part] += 1
    return total.div_(count)

  def _padded(self, window: Tensor) -> Tensor:
    """Windows that leave the image are filled up with black."""
    if self._protocol.kind == "whole" or window.shape[2:] == self._protocol.crop_size:
      return window.contiguous(memory_format=self._format)
    black = -torch.tensor(MEAN) / torch.tensor(STD)
    full = black[None, :, None, None].repeat(1, 1, *self._protocol.crop_size)
    full = full.contiguous(memory_format=self._format)
    full[:, :, : window.shape[2], : window.shape[3]] = window
    return full

  def _look(self, x: Tensor) -> Tensor:
    """Exponentiated scores of an image, averaged with its mirror's before, `(1, K, h, w)`."""
    if not self._protocol.flip:
      return self._logits(x).exp_()
    if self._join:
      straight, mirrored = self._logits(torch.cat([x, x.flip(3)])).split(1)
    else:
      straight, mirrored = self._logits(x), self._logits(x.flip(3))
    return (straight + mirrored.flip(3)).mul_(0.5).exp_()

  def _logits(self, x: Tensor) -> Tensor:
    return self._resize(self._network(x), x.shape[2:])

  def _resize(self, x: Tensor, size: tuple[int, int]) -> Tensor:
    mode, aligned = self._mode
    mode, aligned = ("bilinear", False) if mode == "nearest" else (mode, aligned)
    return functional.interpolate(x, size=tuple(size), mode=mode, align_corners=aligned)


def _moved_inside(length: int, width: int) -> list[int]:
  """Starts of windows side by side, the last one moved back inside."""
  count = max(math.ceil((length - width) / width) + 1, 1)
  return [max(min(k * width + width, length) - width, 0) for k in range(count)]


def _overlapping(length: int, width: int) -> list[int]:
  """Starts of windows that overlap by a third; the last one may leave the image."""
  stride = int(width * 2 / 3)
  count = math.ceil((max(length, width) - width) / stride) + 1
  return [k * stride for k in range(count)]


def build(
  depth: str, num_classes: int, upsample: str, weights: Mapping[str, np.ndarray]
) -> torch_hrnet.Trunk:
  """The PyTorch segmentation network with given weights."""
  network = torch_hrnet.build("segmentation", depth, num_classes, upsample=upsample)
  torch_hrnet.load(network, weights)
  return network.eval()


def random_weights(
  depth: str, num_classes: int, upsample: str, images: np.ndarray
) -> dict[str, np.ndarray]:
  """Seeded random weights whose running statistics are those of some images `(B, H, W, 3)`.

  So every layer has activations as a trained network has, and the classes of pixels differ.
  """
  torch.manual_seed(0)
  network = torch_hrnet.build("segmentation", depth, num_classes, upsample=upsample, bn_momentum=1)
  x = (images.astype(np.float32) / 255 - np.float32(MEAN)) / np.float32(STD)
  with torch.inference_mode():
    network.train()(torch.from_numpy(x).permute(0, 3, 1, 2).contiguous())
  return {name: value.numpy().copy() for name, value in network.state_dict().items()}


def set_threads(count: int) -> None:
  """Threads of one operation."""
  torch.set_num_threads(count)


def version() -> str:
  """PyTorch's."""
  return torch.__version__
