"""The network: HRNetV2 and a head of its own, `(B, H, W, 1) -> (B,)`."""

from typing import Any

import flax.linen as nn
import jax

from hrnet_jax.models.network import Network, build_backbone, build_neck


class CountHead(nn.Module):
  """Sums a map of densities, which cannot be negative: `(B, h, w, C) -> (B,)`."""

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
    del train
    density = nn.softplus(nn.Conv(1, (1, 1), name="density")(x))
    return density.mean((1, 2, 3))


def build_model(*, upsample: str = "bilinear", channels: int = 1, **trunk: Any) -> Network:
  """Builds it; `trunk` is that of `build_backbone`."""
  backbone = build_backbone(upsample=upsample, channels=channels, **trunk)
  return Network("disc_counting", backbone, build_neck("v2", backbone), CountHead())
