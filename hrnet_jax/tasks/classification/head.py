"""Head of the ImageNet networks: `(B, h, w, C) -> (B, num_outputs)`."""

import flax.linen as nn
import jax

from hrnet_jax.models.layers import LayerConfig, uniform_fan_in


class PooledHead(nn.Module):
  """Average over space and a linear layer: `(B, h, w, C) -> (B, num_outputs)`.

  Source: `classifier` of lib/models/cls_hrnet.py.
  """

  num_outputs: int
  layer_config: LayerConfig

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
    del train
    dtype, channels = self.layer_config.param_dtype, x.shape[-1]
    init = uniform_fan_in(channels)
    kernel = self.param("kernel", init, (channels, self.num_outputs), dtype)
    bias = self.param("bias", init, (self.num_outputs,), dtype)
    return x.astype(dtype).mean((1, 2)) @ kernel + bias
