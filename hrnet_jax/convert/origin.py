"""What network a state_dict is of, told from names and shapes: `{name: array}` -> text."""

from collections.abc import Iterable, Mapping
import re
from typing import Any

import flax.linen as nn
import numpy as np

from hrnet_jax.models.backbone import VARIANTS, Depth

_BACKBONE = re.compile(r"(conv[12]|bn[12]|layer1|transition[123]|stage[234])\.")

# A name that only one kind of network has; the first that is there counts.
_TASKS = {
  "ocr_distri_head.": "segmentation with object context (OCR)",
  "last_layer.": "segmentation",
  "incre_modules.": "classification",
  "fc.": "classification",
  "final_layer.weight": "pose",
  "head.0.weight": "landmarks",
  "rpn_head.": "detection",
}
# What the reference has no weights for if they are of another task; elsewhere the head alone.
_GIVEN_UP = {"detection": "representation,head"}

# By these tasks: the layer of the scores, the model's option for their number, what to give up.
_LAST_LAYERS = {
  "segmentation with object context (OCR)": ("cls_head.weight", "num_classes", "head"),
  "segmentation": ("last_layer.3.weight", "num_classes", "head/classify"),
  "classification": ("classifier.weight", "num_classes", "head"),
  "pose": ("final_layer.weight", "num_landmarks", "head"),
  "landmarks": ("head.3.weight", "num_landmarks", "head/classify"),
}


def is_counter(name: str) -> bool:
  """Whether a tensor is a norm's count of batches, which has no effect."""
  return name.endswith("num_batches_tracked")


def is_backbone(name: str) -> bool:
  """Whether a tensor belongs to the trunk, which all tasks share."""
  return _BACKBONE.match(name) is not None


def task_of(names: Iterable[str]) -> str:
  """Task of the network that has these tensors; empty if it cannot be told."""
  names = tuple(names)
  return next((t for start, t in _TASKS.items() if any(n.startswith(start) for n in names)), "")


def depth_of(tensors: Mapping[str, np.ndarray]) -> Depth | None:
  """Size of the network that has these tensors; None if it cannot be told."""
  try:
    return Depth(
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
  own = tuple(own)
  heads = _other_task(own, tensors) or _other_count(model, tensors) or _other_boxes(own, tensors)
  reasons = [_other_size(model, tensors), heads]
  return "\n  ".join(filter(None, reasons))


def _other_size(model: nn.Module, tensors: Mapping[str, np.ndarray]) -> str:
  expected, found = getattr(model, "backbone", model).depth, depth_of(tensors)
  if found is None or found == expected:
    return ""
  advice = f"; set model.variant to {_name(found)!r}" if _name(found) else ""
  return f"the weights are of {describe(found)}, the model is {describe(expected)}{advice}"


def _other_task(own: Iterable[str], tensors: Mapping[str, np.ndarray]) -> str:
  before, now = task_of(tensors), task_of(own)
  if not before or not now or before == now:
    return ""
  return (
    f"the weights are of a network for {before}, the model is for {now}; "
    f"--reinit={_GIVEN_UP.get(now, 'head')} takes the backbone alone"
  )


def _other_count(model: nn.Module, tensors: Mapping[str, np.ndarray]) -> str:
  name, option, part = _LAST_LAYERS.get(task_of(tensors), ("", "", ""))
  expected = getattr(getattr(model, "head", None), "num_outputs", None)
  if name not in tensors or expected in (None, found := len(tensors[name])):
    return ""
  return (
    f"the weights have {found} outputs, the model has {expected}; set model.{option} to {found}, "
    f"or --reinit={part} initialises what depends on it"
  )


def _other_boxes(own: Iterable[str], tensors: Iterable[str]) -> str:
  """The heads of detectors have a prefix since boxes are what they are now."""
  expected, found = (any(x.startswith("roi_head.") for x in names) for names in (own, tensors))
  if task_of(own) != "detection" or expected == found:
    return ""
  kind, which = ("modern", "2 and 3") if found else ("legacy", "1 and HRNet-Object-Detection")
  return f"the names are those of mmdetection {which}; set model.convention to {kind!r}"


def describe(depth: Depth) -> str:
  """Name of the variant, or its numbers."""
  if name := _name(depth):
    return name
  modules = "-".join(map(str, depth.modules))
  return (
    f"a network of width {depth.width} with {modules} modules, {depth.blocks} blocks and "
    f"{depth.bottlenecks} bottlenecks of {depth.bottleneck_width}"
  )


def _name(depth: Depth) -> str:
  return next((name for name, known in VARIANTS.items() if known == depth), "")


def _count(names: Mapping[str, Any], pattern: str) -> int:
  found = {int(m[1]) for m in (re.match(pattern, name) for name in names) if m}
  return max(found, default=-1) + 1
