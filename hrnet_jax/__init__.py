"""HRNetV2 in JAX and Flax: one network that keeps high resolution all the way."""

from hrnet_jax import convert
from hrnet_jax.models.folding import fold_batchnorm
from hrnet_jax.models.network import build_backbone, build_model

__version__ = "0.1.0"
__all__ = ["build_backbone", "build_model", "convert", "fold_batchnorm"]
