"""Weights of the PyTorch reference: `{name: array}` <-> Flax variables."""

from hrnet_jax.convert.state_dict import from_torch, to_torch

__all__ = ["from_torch", "to_torch"]
