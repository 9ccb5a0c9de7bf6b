"""Strict conversion of whole networks: every tensor is used, present and of the right shape."""

from collections.abc import Mapping
from typing import Any

from flax import traverse_util
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from hrnet_jax.convert.rules import torch_name

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
    ValueError: lists all tensors that are missing, unused or of another shape.
  """
  given = {k: v for k, v in state_dict.items() if not k.endswith("num_batches_tracked")}
  leaves, missing, misshapen, used = {}, [], [], set()
  for path, spec in _leaves(model).items():
    name, shape = torch_name(path[1:]), _torch_shape(spec.shape)
    if name not in given:
      missing.append(f"{name} {shape}")
      continue
    used.add(name)
    value = np.asarray(given[name])
    if value.shape != shape:
      misshapen.append(f"{name}: {value.shape}, expected {shape}")
      continue
    leaves[path] = jnp.asarray(
      value.transpose(2, 3, 1, 0) if value.ndim == 4 else value, spec.dtype
    )
  unused = sorted(set(given) - used)
  problems = {"missing": missing, "unused": unused, "of another shape": misshapen}
  if any(problems.values()):
    lines = [f"{len(v)} {k}: {', '.join(v)}" for k, v in problems.items() if v]
    raise ValueError("the state_dict does not fit the model\n  " + "\n  ".join(lines))
  return traverse_util.unflatten_dict(leaves)


def to_torch(model: nn.Module, variables: Variables) -> dict[str, np.ndarray]:
  """The inverse of `from_torch`, with a zero `num_batches_tracked` for each norm.

  Raises:
    ValueError: `variables` are not those of `model`.
  """
  expected, given = _leaves(model), traverse_util.flatten_dict(variables)
  if set(expected) != set(given):
    differing = sorted("/".join(p) for p in set(expected) ^ set(given))
    raise ValueError(f"the variables are not this model's; they differ in {differing}")
  state_dict = {}
  for path in expected:
    name, value = torch_name(path[1:]), np.asarray(given[path])
    state_dict[name] = value.transpose(3, 2, 0, 1) if value.ndim == 4 else value
    if path[-1] == "var":
      stem = name.removesuffix("running_var")
      state_dict[f"{stem}num_batches_tracked"] = np.zeros((), np.int64)
  return state_dict


def _leaves(model: nn.Module) -> dict[tuple[str, ...], jax.ShapeDtypeStruct]:
  image = jax.ShapeDtypeStruct((1, 64, 64, 3), jnp.float32)
  shapes = jax.eval_shape(lambda x: model.init(jax.random.key(0), x, train=False), image)
  return traverse_util.flatten_dict(shapes)


def _torch_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
  return tuple(shape[k] for k in (3, 2, 0, 1)) if len(shape) == 4 else tuple(shape)
