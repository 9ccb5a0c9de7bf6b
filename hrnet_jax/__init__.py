"""HRNetV2 in JAX and Flax: one network that keeps high resolution all the way."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
  from hrnet_jax import convert
  from hrnet_jax.models.folding import fold_batchnorm
  from hrnet_jax.models.network import build_backbone, build_model

__version__ = "0.2.0"
__all__ = ["build_backbone", "build_model", "convert", "fold_batchnorm"]

_PLACES = {
  "build_backbone": "hrnet_jax.models.network",
  "build_model": "hrnet_jax.models.network",
  "fold_batchnorm": "hrnet_jax.models.folding",
}


def __getattr__(name: str) -> Any:
  # Importing the package alone stays free of JAX, so that the command's help is there at once.
  if name == "convert":
    return importlib.import_module("hrnet_jax.convert")
  if name in _PLACES:
    return getattr(importlib.import_module(_PLACES[name]), name)
  raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
