"""Examples of several sizes in one batch: `(h_b, w_b, ...) * B -> (B, H, W, ...)` and their sizes.

Sizes are rounded up, so that a data set of many sizes makes few shapes of batches.
"""

from collections.abc import Mapping, Sequence
import dataclasses

import numpy as np

MULTIPLE = 64  # pixels; to which the sides of a batch are rounded up
_SIZE = "_size"


@dataclasses.dataclass(frozen=True)
class StackPadded:
  """Stacks examples; maps are padded at the bottom and right.

  Every map `key`, an array of two axes or more, gets its sizes `key_size (B, 2)` int32 beside it.

  Attributes:
    fill: what each map is padded with.
    multiple: to which sides are rounded up; 1 where all examples have one size.
  """

  fill: Mapping[str, int]
  multiple: int = MULTIPLE

  def __call__(self, examples: Sequence[Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
    batch = {}
    for key in examples[0]:
      values = [np.asarray(example[key]) for example in examples]
      if values[0].ndim < 2:
        batch[key] = np.stack(values)
        continue
      sizes = np.array([value.shape[:2] for value in values], np.int32)
      height, width = (int(-(-n // self.multiple) * self.multiple) for n in sizes.max(0))
      shape = (len(values), height, width, *values[0].shape[2:])
      batch[key] = np.full(shape, self.fill[key], values[0].dtype)
      for row, value in zip(batch[key], values, strict=True):
        row[: value.shape[0], : value.shape[1]] = value
      batch[key + _SIZE] = sizes
    return batch


def example(batch: Mapping[str, np.ndarray], row: int) -> dict[str, np.ndarray]:
  """One example of a batch of `StackPadded`, at its own size; any other batch works too.

  Where a batch has `key_size` beside `key` for other reasons, the map is cut to it as well.
  """
  return {
    key: cut(value[row], batch[key + _SIZE][row]) if key + _SIZE in batch else value[row]
    for key, value in batch.items()
    if not (key.endswith(_SIZE) and key.removesuffix(_SIZE) in batch)
  }


def cut(array: np.ndarray, size: Sequence[int]) -> np.ndarray:
  """The top left part of `size` (height, width)."""
  height, width = (int(side) for side in size)
  return array[:height, :width]
