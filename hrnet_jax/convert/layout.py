"""How tensors lie in memory, by their name: `(kH, kW, I, O)` here <-> `(O, I, kH, kW)` there."""

import math
import re

import numpy as np

# Axes by rank: convolutions OIHW <-> HWIO, linear layers OI <-> IO, vectors as they are.
_FROM_TORCH = {4: (2, 3, 1, 0), 2: (1, 0), 1: (0,)}
_TO_TORCH = {4: (3, 2, 0, 1), 2: (1, 0), 1: (0,)}
# A linear layer on all values of a map: `(O, I * kH * kW)` there, `(kH, kW, I, O)` here.
_FLAT = "shared_fcs.0.weight"
# Detectors before mmdetection 2, whose heads have no prefix, count the ground as the first class:
# here it is the last of the scores, and has neither boxes nor masks. Rows of it, by layer; the
# heads of a cascade, which have numbers, have one box for all classes.
_SCORES = re.compile(r"bbox_head\.(\d+\.)?fc_cls\.(weight|bias)")
_GROUND = {
  re.compile(r"bbox_head\.fc_reg\.(weight|bias)"): 4,
  re.compile(r"mask_head\.(\d+\.)?conv_logits\.(weight|bias)"): 1,
}


def torch_shape(shape: tuple[int, ...], name: str | None = None) -> tuple[int, ...]:
  """Shape of a leaf in PyTorch's layout, as the tensor of that name has it."""
  first, *rest = (shape[k] for k in _TO_TORCH[len(shape)])
  if name and name.endswith(_FLAT):
    rest = [math.prod(rest)]
  return (first + _ground(name), *rest)


def from_torch(value: np.ndarray, shape: tuple[int, ...], name: str) -> np.ndarray:
  """The leaf of this shape from the tensor of that name, which has the shape `torch_shape`."""
  value = np.asarray(value)[_ground(name) :]
  if _SCORES.fullmatch(name):
    value = np.roll(value, -1, axis=0)
  value = value.reshape(torch_shape(shape))
  return value.transpose(_FROM_TORCH[value.ndim])


def to_torch(value: np.ndarray, name: str) -> np.ndarray:
  """A leaf as the tensor of that name; rows of the ground that there are not here are 0."""
  shape, ground = torch_shape(value.shape, name), _ground(name)
  value = np.ascontiguousarray(value.transpose(_TO_TORCH[value.ndim]))
  if _SCORES.fullmatch(name):
    value = np.roll(value, 1, axis=0)
  value = np.pad(value, [(ground, 0)] + [(0, 0)] * (value.ndim - 1))
  return value.reshape(shape)


def _ground(name: str | None) -> int:
  return next((rows for layer, rows in _GROUND.items() if layer.fullmatch(name or "")), 0)
