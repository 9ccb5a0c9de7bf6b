"""Weights of the PyTorch reference: `{name: array}` <-> Flax variables."""

from hrnet_jax.convert.containers import absolute_scales
from hrnet_jax.convert.files import read_state_dict, write_state_dict
from hrnet_jax.convert.fitting import fit
from hrnet_jax.convert.state_dict import from_torch, to_torch

__all__ = [
  "absolute_scales",
  "fit",
  "from_torch",
  "read_state_dict",
  "to_torch",
  "write_state_dict",
]
