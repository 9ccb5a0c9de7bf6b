"""How tensors lie in memory: `(kH, kW, I, O)` here <-> `(O, I, kH, kW)` in PyTorch."""

import math

import numpy as np

from hrnet_jax.convert.reference import TensorLayout

# Axes by rank: convolutions OIHW <-> HWIO, linear layers OI <-> IO, vectors as they are.
_FROM_TORCH = {4: (2, 3, 1, 0), 2: (1, 0), 1: (0,)}
_TO_TORCH = {4: (3, 2, 0, 1), 2: (1, 0), 1: (0,)}
_PLAIN = TensorLayout()


def torch_shape(shape: tuple[int, ...], layout: TensorLayout = _PLAIN) -> tuple[int, ...]:
  """Shape that the reference's tensor has for a leaf of this shape."""
  first, *rest = (shape[k] for k in _TO_TORCH[len(shape)])
  if layout.flattened:
    rest = [math.prod(rest)]
  return (first + layout.extra_rows, *rest)


def from_torch(
  value: np.ndarray, shape: tuple[int, ...], layout: TensorLayout = _PLAIN
) -> np.ndarray:
  """Makes the leaf of this shape from the reference's tensor, which has `torch_shape(shape)`."""
  value = np.asarray(value)[layout.extra_rows :]
  if layout.first_is_last:
    value = np.roll(value, -1, axis=0)
  value = value.reshape(torch_shape(shape))
  return value.transpose(_FROM_TORCH[value.ndim])


def to_torch(value: np.ndarray, layout: TensorLayout = _PLAIN) -> np.ndarray:
  """Makes the reference's tensor from a leaf."""
  shape = torch_shape(value.shape, layout)
  value = np.ascontiguousarray(value.transpose(_TO_TORCH[value.ndim]))
  if layout.first_is_last:
    value = np.roll(value, 1, axis=0)
  value = np.pad(value, [(layout.extra_rows, 0)] + [(0, 0)] * (value.ndim - 1))
  return value.reshape(shape)
