"""Runs a PyTorch network and keeps the output of each part: `(B, H, W, 3)` -> maps, all NHWC."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from hrnet_jax.parity.torch_hrnet import Maps, Trunk, resize


def trace(network: Trunk, images: np.ndarray) -> dict[str, np.ndarray]:
  """Runs a network in evaluation mode and keeps what leaves each part.

  Args:
    network: from `build`.
    images: `(B, H, W, 3)`.

  Returns:
    `stem`, `stage1`, `stage2.0` ... and `outputs`; maps as `(B, h, w, C)`.
  """
  kept: dict[str, Any] = {}

  def keep(name: str) -> Callable[..., None]:
    def hook(module: nn.Module, inputs: tuple, outputs: Any) -> None:
      kept[name] = outputs

    return hook

  hooks = [network.layer1.register_forward_pre_hook(lambda _, x: kept.update(stem=x[0]))]
  for name, module in (("layer1", "stage1"), *((f"stage{s}",) * 2 for s in (2, 3, 4))):
    hooks.append(getattr(network, name).register_forward_hook(keep(module)))
  x = torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))
  x = x.to(next(network.parameters()))
  try:
    with torch.inference_mode():
      kept["outputs"] = network.eval()(x)
  finally:
    for hook in hooks:
      hook.remove()
  flat = {}
  for name, value in kept.items():
    parts = {name: value} if isinstance(value, Tensor) else named(name, value)
    flat |= {key: to_numpy(part) for key, part in parts.items()}
  return flat


def named(name: str, maps: Maps) -> dict[str, Tensor]:
  """`NAME.0`, `NAME.1`, ... for the maps of a stage."""
  return {f"{name}.{i}": x for i, x in enumerate(maps)}


def to_numpy(x: Tensor) -> np.ndarray:
  """`(B, C, H, W) -> (B, H, W, C)`, and `(B, C)` as it is."""
  return (x.permute(0, 2, 3, 1) if x.ndim == 4 else x).cpu().numpy()


def enlarge(logits: np.ndarray, size: tuple[int, int], upsample: str) -> np.ndarray:
  """Resizes scores `(B, h, w, K)` to the size of the image, `(B, *size, K)`.

  As the references do; networks that repeat pixels inside still enlarge these smoothly.
  """
  smooth = "bilinear" if upsample == "nearest" else upsample
  return to_numpy(resize(torch.from_numpy(logits).permute(0, 3, 1, 2), size, smooth))
