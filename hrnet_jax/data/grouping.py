"""Batches of examples of one group each: groups `(N,)` -> positions `(n * B,)` in the source.

The reference groups wide and tall images, which then fit a canvas each: `mmdet/datasets/loader/` of
the reference for objects. As there, a pass holds every example and fills up the last batch of
each group with repeated ones of the same group.
"""

from collections.abc import Mapping, Sequence
import dataclasses
import threading
from typing import Any

import numpy as np

_PASSES = 2**31  # nobody gets to the end of these


def checked(groups: np.ndarray | None, count: int) -> np.ndarray:
  """The group of each of `count` examples, `(count,)`; without groups all are of one.

  Raises:
    ValueError: there is not one number for each of them.
  """
  if groups is None:
    return np.zeros(count, np.int64)
  if np.shape(groups) != (count,):
    raise ValueError(f"groups have shape {np.shape(groups)}, expected ({count},), one an example")
  return np.asarray(groups)


def padded(groups: np.ndarray, batch_size: int) -> tuple[np.ndarray, np.ndarray]:
  """One pass in order, group after group.

  Args:
    groups: `(N,)`.
    batch_size: B.

  Returns:
    `(n * B,)` positions in the source, where the last example of each group is repeated up to a
    multiple of B, and `(n * B,)` bool, False where it is only repeated.
  """
  positions, real = [], []
  for group in np.unique(groups):
    members = np.flatnonzero(groups == group)
    extra = -len(members) % batch_size
    positions.append(np.pad(members, (0, extra), mode="edge"))
    real.append(np.arange(len(members) + extra) < len(members))
  return np.concatenate(positions), np.concatenate(real)


class Passes:
  """Endless shuffled passes over the examples, in batches of one group each.

  Batch `n` is a function of the seed and of `n` alone. In each pass, the examples of every group
  are shuffled, cut into batches, the last of which begins anew with the group's first examples, and
  then the batches of all groups are shuffled.

  Args:
    groups: `(N,)`.
    batch_size: B, over all processes.
    seed: of the order.
  """

  def __init__(self, groups: np.ndarray, batch_size: int, seed: int):
    self._members = [np.flatnonzero(groups == group) for group in np.unique(groups)]
    self._batch_size, self._seed = batch_size, seed
    self._batches = sum(-(-len(members) // batch_size) for members in self._members)
    self._recent: dict[int, np.ndarray] = {}
    self._lock = threading.Lock()

  def __len__(self) -> int:
    return _PASSES * self._batches * self._batch_size

  def __getitem__(self, index: int) -> int:
    number, place = divmod(int(index), self._batches * self._batch_size)
    order = self._recent.get(number)
    return int((self._make(number) if order is None else order)[place])

  def __getstate__(self) -> dict[str, Any]:
    return self.__dict__ | {"_recent": {}, "_lock": None}

  def __setstate__(self, state: dict[str, Any]) -> None:
    self.__dict__ |= state | {"_lock": threading.Lock()}

  def _make(self, number):
    """The positions of a pass; two passes are kept, because batches ahead may be of the next."""
    with self._lock:
      if number not in self._recent:
        rng = np.random.default_rng((self._seed, number))
        batches = [self._cut(rng.permutation(members)) for members in self._members]
        order = rng.permutation(np.concatenate(batches)).ravel()
        last = max(self._recent, default=number)
        self._recent = {n: kept for n, kept in self._recent.items() if n == last} | {number: order}
      return self._recent[number]

  def _cut(self, members):
    count = -(-len(members) // self._batch_size)
    return np.resize(members, (count, self._batch_size))


@dataclasses.dataclass(frozen=True)
class Reordered:
  """A source in another order."""

  source: Sequence[Mapping[str, Any]]
  order: Sequence[int]

  def __len__(self) -> int:
    return len(self.order)

  def __getitem__(self, index: int) -> Mapping[str, Any]:
    return self.source[self.order[index]]
