"""Strict conversion of whole networks: every tensor is used, present and of the right shape."""

from collections.abc import Mapping
from typing import Any

from flax import traverse_util
import flax.linen as nn
import numpy as np

from hrnet_jax.convert import layout
from hrnet_jax.convert.fitting import fit, leaves
from hrnet_jax.convert.rules import scheme_of, torch_name
from hrnet_jax.errors import UserError

Variables = dict[str, Any]


def from_torch(model: nn.Module, state_dict: Mapping[str, np.ndarray]) -> Variables:
  """Converts the reference's weights.

  Args:
    model: what `hrnet_jax.build_model` returned.
    state_dict: PyTorch name -> array (or CPU tensor); convolutions `(O, I, kH, kW)`.
      `num_batches_tracked` is not used.

  Returns:
    `{"params": ..., "batch_stats": ...}` in the model's parameter dtype, convolutions
    `(kH, kW, I, O)`.

  Raises:
    UserError: lists all tensors that are missing, unused or of another shape.
  """
  return traverse_util.unflatten_dict(fit(model, state_dict).loaded)


def to_torch(model: nn.Module, variables: Variables) -> dict[str, np.ndarray]:
  """The inverse of `from_torch`, with a zero `num_batches_tracked` for each norm.

  Raises:
    ValueError: `variables` are not those of `model`. UserError: the reference has no such layers.
  """
  expected, given = leaves(model), traverse_util.flatten_dict(variables)
  if set(expected) != set(given):
    differing = sorted("/".join(p) for p in set(expected) ^ set(given))
    raise ValueError(f"the variables are not this model's; they differ in {differing}")
  state_dict, scheme = {}, scheme_of(model)
  for path in expected:
    try:
      name = torch_name(path[1:], scheme, whole=True)
    except KeyError as error:
      raise UserError(f"cannot be written for PyTorch: {error.args[0]}") from None
    state_dict[name] = layout.to_torch(np.asarray(given[path]), scheme.layout_of(name))
    if path[-1] == "var":
      stem = name.removesuffix("running_var")
      state_dict[f"{stem}num_batches_tracked"] = np.zeros((), np.int64)
  return state_dict
