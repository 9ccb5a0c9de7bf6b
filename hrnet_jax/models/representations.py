"""What is made of the four maps before a head: pyramid -> `(B, h, w, C)`."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from hrnet_jax.models.exchange import Pyramid
from hrnet_jax.ops.resize import Resize, resize


class V2(nn.Module):
  """HRNetV2 (paper, figure 4b): all maps on the finest grid, `(B, H / 4, W / 4, 15 * C)`."""

  upsample: Resize

  def __call__(self, xs: Pyramid, *, train: bool) -> jax.Array:
    del train  # nothing here learns; the argument makes representations interchangeable
    size = xs[0].shape[1:3]
    return jnp.concatenate([resize(x, size, self.upsample) for x in xs], axis=-1)
