"""Object-contextual head: `(B, h, w, C)` -> auxiliary and main logits, `(B, h, w, K)` each.

Yuan et al., "Object-Contextual Representations for Semantic Segmentation"; the variant of
lib/models/seg_hrnet_ocr.py in the segmentation repository.
"""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp

from hrnet_jax.models.heads import LinearHead, PixelHead
from hrnet_jax.models.layers import ConvNorm, LayerConfig


class OCRHead(nn.Module):
  """Describes every pixel by the classes it resembles, then scores it.

  A first guess (`aux`) weighs the pixels of each class into one vector for the class; pixels
  attend to these vectors, and what they find joins their own features. The first guess learns
  through both outputs.

  Attributes:
    num_outputs: K.
    layer_config: see `LayerConfig`.
    width: channels of the pixel features.
    key_width: channels in which pixels and classes are compared.
    dropout: share of the channels dropped in training; needs the rng `dropout`.
  """

  num_outputs: int
  layer_config: LayerConfig
  width: int = 512
  key_width: int = 256
  dropout: float = 0.05

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool) -> tuple[jax.Array, jax.Array]:
    # Whatever the trunk has: the reference leaves the head's convolutions as PyTorch makes them.
    cfg = dataclasses.replace(self.layer_config, init="uniform_fan_in")

    def project(x: jax.Array, name: str, width: int = self.key_width) -> jax.Array:
      return ConvNorm(width, cfg, kernel=1, name=name)(x, train=train)

    aux = PixelHead(self.num_outputs, cfg, name="aux")(x, train=train)
    x = ConvNorm(self.width, cfg, use_bias=True, name="pixels")(x, train=train)
    regions = gather_regions(x, aux)[:, :, None]
    query = project(project(x, "query_0"), "query_1")
    key = project(project(regions, "key_0"), "key_1")
    value = project(regions, "value")
    context = project(attend(query, key[:, :, 0], value[:, :, 0]), "up", self.width)
    x = project(jnp.concatenate([context, x], axis=-1), "fuse", self.width)
    # Whole channels of an example, PyTorch's Dropout2d.
    x = nn.Dropout(self.dropout, broadcast_dims=(1, 2))(x, deterministic=not train)
    return aux, LinearHead(self.num_outputs, cfg, name="main")(x, train=train)


def gather_regions(x: jax.Array, scores: jax.Array) -> jax.Array:
  """Mean features of each class, weighted by its scores over all pixels of the image.

  Args:
    x: `(B, h, w, C)` features.
    scores: `(B, h, w, K)` logits.

  Returns:
    `(B, K, C)` in the dtype of `x`; the softmax is in that of `scores`.
  """
  b, h, w, k = scores.shape
  share = jax.nn.softmax(scores.reshape(b, h * w, k), axis=1).astype(x.dtype)
  return jnp.einsum("bpk,bpc->bkc", share, x.reshape(b, h * w, -1))


def attend(query: jax.Array, key: jax.Array, value: jax.Array) -> jax.Array:
  """Scaled dot-product attention of pixels over classes.

  Args:
    query: `(B, h, w, C)`.
    key: `(B, K, C)`.
    value: `(B, K, D)`.

  Returns:
    `(B, h, w, D)` in the dtype of `value`; the softmax is at least float32.
  """
  wide = jnp.promote_types(query.dtype, jnp.float32)
  similarity = jnp.einsum("bhwc,bkc->bhwk", query, key, preferred_element_type=wide)
  weights = jax.nn.softmax(similarity * query.shape[-1] ** -0.5, axis=-1).astype(value.dtype)
  return jnp.einsum("bhwk,bkd->bhwd", weights, value)
