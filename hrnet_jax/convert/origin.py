"""Tells from names and shapes which network a state_dict is of, and why it does not fit a model."""

from collections.abc import Iterable, Mapping
import re
from typing import Any

import flax.linen as nn
import numpy as np

from hrnet_jax.convert.reference import NetworkKind, kind_of, reference_of
from hrnet_jax.models.backbone import VARIANTS, HRNet, HRNetConfig

_BACKBONE = re.compile(r"(conv[12]|bn[12]|layer1|transition[123]|stage[234])\.")


def is_counter(name: str) -> bool:
  """Whether a tensor is a norm's count of batches, which has no effect."""
  return name.endswith("num_batches_tracked")


def is_backbone(name: str) -> bool:
  """Whether a tensor belongs to the backbone, which all tasks share."""
  return _BACKBONE.match(name) is not None


def config_of(tensors: Mapping[str, np.ndarray]) -> HRNetConfig | None:
  """Reads the size of a network from its tensors; None if it cannot be told."""
  try:
    return HRNetConfig(
      width=int(tensors["transition1.0.0.weight"].shape[0]),
      modules=tuple(_count(tensors, rf"stage{k}\.(\d+)\.") for k in (2, 3, 4)),
      blocks=_count(tensors, r"stage2\.0\.branches\.0\.(\d+)\."),
      bottlenecks=_count(tensors, r"layer1\.(\d+)\."),
      bottleneck_width=int(tensors["layer1.0.conv1.weight"].shape[0]),
    )
  except (KeyError, IndexError):
    return None


def explain(model: nn.Module, own: Iterable[str], tensors: Mapping[str, np.ndarray]) -> str:
  """Says why tensors do not fit a model, and what would; empty if it cannot be told.

  Args:
    model: a network or a backbone.
    own: names that the reference would give the model's tensors.
    tensors: those that do not fit.
  """
  found, expected = kind_of(tensors), kind_of(own)
  backbone = getattr(model, "backbone", model)
  reasons = []
  if isinstance(backbone, HRNet):
    reasons += [
      _other_size(backbone, tensors),
      _other_channels(backbone, tensors),
    ]
  reasons.append(
    _other_task(found, expected)
    or _other_count(model, found, tensors)
    or _other_scheme(model, tensors)
  )
  return "\n  ".join(filter(None, reasons))


def _other_size(backbone: HRNet, tensors: Mapping[str, np.ndarray]) -> str:
  expected, found = backbone.config, config_of(tensors)
  if found is None or found == expected:
    return ""
  advice = f"; set model.variant to {_name(found)!r}" if _name(found) else ""
  return f"the weights are of {describe(found)}, the model is {describe(expected)}{advice}"


def _other_channels(backbone: HRNet, tensors: Mapping[str, np.ndarray]) -> str:
  shape = np.shape(tensors.get("conv1.weight"))
  if len(shape) != 4 or shape[1] == backbone.channels:
    return ""
  return (
    f"the weights are for images of {shape[1]} channels, the model for {backbone.channels}; set "
    f"model.channels to {shape[1]}, or --reinit=backbone/stem_1 initialises the first layer"
  )


def _other_task(found: NetworkKind | None, expected: NetworkKind | None) -> str:
  if found is None or expected is None or found == expected:
    return ""
  return (
    f"the weights are of a network for {found.words}, the model is for {expected.words}; "
    f"--reinit={expected.reinit_all} takes the backbone alone"
  )


def _other_count(
  model: nn.Module, kind: NetworkKind | None, tensors: Mapping[str, np.ndarray]
) -> str:
  expected = getattr(getattr(model, "head", None), "num_outputs", None)
  if kind is None or kind.last_layer not in tensors or expected is None:
    return ""
  count = len(tensors[kind.last_layer])
  if count == expected:
    return ""
  return (
    f"the weights have {count} outputs, the model has {expected}; set "
    f"model.{kind.outputs_option} to {count}, or --reinit={kind.reinit_outputs} initialises what "
    "depends on it"
  )


def _other_scheme(model: nn.Module, tensors: Iterable[str]) -> str:
  if not hasattr(model, "task"):
    return ""
  reference = reference_of(model.task)
  names = tuple(tensors)
  found = next(
    key
    for key, scheme in reference.schemes.items()
    if any(name.startswith(scheme.mark) for name in names)
  )
  if found == reference.scheme_of(model):
    return ""
  return (
    f"the names are those of {reference.schemes[found].source}; "
    f"set model.{reference.scheme_option} to {found!r}"
  )


def describe(config: HRNetConfig) -> str:
  """Name of the variant, or its numbers."""
  if name := _name(config):
    return name
  modules = "-".join(map(str, config.modules))
  return (
    f"a network of width {config.width} with {modules} modules, {config.blocks} blocks and "
    f"{config.bottlenecks} bottlenecks of {config.bottleneck_width}"
  )


def _name(config: HRNetConfig) -> str:
  return next((name for name, known in VARIANTS.items() if known == config), "")


def _count(names: Mapping[str, Any], pattern: str) -> int:
  found = {int(m[1]) for m in (re.match(pattern, name) for name in names) if m}
  return max(found, default=-1) + 1
