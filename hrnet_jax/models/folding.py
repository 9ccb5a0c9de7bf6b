"""Batch normalisation folded into convolutions: `(model, variables)` -> the same function, smaller.

Shapes: a kernel `(k, k, C, K)` and a norm `(K,)` -> a kernel of the same shape and a bias `(K,)`.
"""

from collections.abc import Iterator, Mapping
import dataclasses
from typing import Any

from flax import traverse_util
import flax.linen as nn
import numpy as np

from hrnet_jax.models.layers import LayerConfig

Flat = dict[tuple[str, ...], Any]
_LINEN_FIELDS = ("name", "parent")  # that every module has


def fold_batchnorm(
  model: nn.Module, variables: Mapping[str, Any]
) -> tuple[nn.Module, dict[str, Any]]:
  """Replaces every convolution and the norm after it by one convolution with bias, for inference.

  With gain = scale / sqrt(var + epsilon), the kernel becomes kernel * gain and the bias
  (bias - mean) * gain + beta; computed in float64, stored in the kernel's dtype. In a float32
  network the outputs agree to a few millionths of their deviation. In a bfloat16 network the
  products are rounded after the scaling instead of before it, so both networks are as far from
  float32, but not equal to each other.

  Args:
    model: what `build_model` or `build_backbone` returned.
    variables: its `params` and `batch_stats`, arrays that this process has all of.

  Returns:
    A module without norms, which only `train=False` can be asked of, and its variables: `params`
    alone. Converters and checkpoints do not know these; keep the originals.

  Raises:
    ValueError: there is no norm, or one without a convolution before it, or the norm is GroupNorm.
  """
  configs = [config for config in _layer_configs(model) if not config.folded]
  if any(config.norm == "group" for config in configs):
    raise ValueError(
      "fold_batchnorm is given a network with GroupNorm, whose statistics are those of each image "
      "and cannot be part of the weights; use the network as it is"
    )
  epsilons = {config.norm_epsilon for config in configs}
  if len(epsilons) != 1 or not variables.get("batch_stats"):
    raise ValueError(
      "fold_batchnorm needs a network with norms that all add the same epsilon, and its "
      f"batch_stats; found epsilons {sorted(epsilons)} and the collections {sorted(variables)}"
    )
  params = _fold(
    traverse_util.flatten_dict(variables["params"]),
    traverse_util.flatten_dict(variables["batch_stats"]),
    epsilons.pop(),
  )
  return _folded(model), {"params": traverse_util.unflatten_dict(params)}


def _fold(params: Flat, stats: Flat, epsilon: float) -> Flat:
  folded = dict(params)
  for norm in sorted({path[:-1] for path in stats}):
    conv = (*norm[:-1], "conv")
    if norm[-1] != "bn" or (*conv, "kernel") not in params:
      raise ValueError(f"the norm {'/'.join(norm)} has no convolution before it to fold into")
    kernel = params[*conv, "kernel"]
    scale, beta = _wide(folded.pop((*norm, "scale"))), _wide(folded.pop((*norm, "bias")))
    gain = scale / np.sqrt(_wide(stats[*norm, "var"]) + epsilon)
    bias = _wide(params.get((*conv, "bias"), 0)) - _wide(stats[*norm, "mean"])
    folded[*conv, "kernel"] = (_wide(kernel) * gain).astype(kernel.dtype)
    folded[*conv, "bias"] = (bias * gain + beta).astype(kernel.dtype)
  return folded


def _wide(x: Any) -> np.ndarray:
  return np.asarray(x, np.float64)


def _layer_configs(value: Any) -> Iterator[LayerConfig]:
  if isinstance(value, LayerConfig):
    yield value
  for _, part in _parts(value):
    yield from _layer_configs(part)


def _folded(value: Any) -> Any:
  if isinstance(value, LayerConfig):
    return dataclasses.replace(value, folded=True)
  changed = {name: _folded(part) for name, part in _parts(value)}
  return value.clone(**changed) if changed else value


def _parts(value: Any) -> list[tuple[str, Any]]:
  """Fields of a module that are modules or layer configs."""
  if not isinstance(value, nn.Module):
    return []
  fields = [f.name for f in dataclasses.fields(value) if f.name not in _LINEN_FIELDS]
  pairs = [(name, getattr(value, name)) for name in fields]
  return [(name, part) for name, part in pairs if isinstance(part, nn.Module | LayerConfig)]
