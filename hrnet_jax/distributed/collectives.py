"""Messages between processes outside the compiled steps: numbers on hosts, and when to stop."""

from collections import deque
from collections.abc import Mapping
from typing import Any

import jax
from jax.experimental import multihost_utils
from jax.sharding import Mesh
import numpy as np
from orbax.checkpoint import multihost

from hrnet_jax.distributed import sharding
from hrnet_jax.distributed.runtime import STEPS_IN_FLIGHT

_PATIENCE = 3600.0  # seconds; a large network may compile that long on a slow host


def barrier(name: str) -> None:
  """Waits until all processes are here, without the devices.

  What processes do at different speeds, such as compiling, goes before: collectives between devices
  that meet for the first time wait for each other less than a minute.
  """
  multihost.get_barrier_sync_fn()(key=name, timeout_ms=int(_PATIENCE * 1000))


def exchange(x: np.ndarray) -> np.ndarray:
  """The arrays of all processes, `(processes, ...)`; as bytes, because JAX narrows 64 bits."""
  x = np.asarray(x)
  if jax.process_count() == 1:
    return x[None]
  data = multihost_utils.process_allgather(np.frombuffer(x.tobytes(), np.uint8))
  return np.frombuffer(np.asarray(data).tobytes(), x.dtype).reshape(-1, *x.shape)


def sum_over_processes(total: Any) -> Any:
  """Sums of arrays over all processes, in 64 bits."""
  return jax.tree.map(lambda x: exchange(x).sum(0), total)


def gather_values(values: Mapping[int, float]) -> dict[int, float]:
  """Joins `{index: value}` of all processes; an index that several have has one value."""
  longest = int(exchange(np.int64(len(values))).max())
  rows = np.full((longest, 2), -1, np.float64)
  rows[: len(values)] = np.array(list(values.items()), np.float64).reshape(-1, 2)
  rows = exchange(rows).reshape(-1, 2)
  return {int(index): float(value) for index, value in rows if index >= 0}


def gather_bytes(data: bytes) -> list[bytes]:
  """The bytes of every process, by process; they need not be equally many."""
  lengths = exchange(np.int64(len(data)))
  row = np.zeros(int(lengths.max()), np.uint8)
  row[: len(data)] = np.frombuffer(data, np.uint8)
  return [x[:n].tobytes() for x, n in zip(exchange(row), lengths, strict=True)]


def all_processes(flag: bool) -> bool:
  """Whether the flag is true in every process."""
  return bool(exchange(np.int32(flag)).all())


def of_first_process(numbers: list[int], most: int = 64) -> list[int]:
  """The list that process 0 has, of at most `most` numbers, 0 or more; the first ones count."""
  row = np.full(most, -1, np.int64)
  row[: len(numbers[:most])] = numbers[:most]
  return [int(x) for x in exchange(row)[0] if x >= 0]


class StopVote:
  """Whether any process wants to stop, known to all of them at the same step.

  A process that ended alone would leave the others in a collective that never completes, so all of
  them vote after every step, and end after the same one. A wish is a number above 0, such as that
  of a signal.

  Attributes:
    wish: the largest one that was told so far; 0 if there was none.
  """

  def __init__(self, mesh: Mesh):
    self._mesh, self._running = mesh, deque()
    self.wish = 0
    self._count = jax.jit(lambda x: x.max(), out_shardings=sharding.replicated(mesh))

  def any_process(self, wish: int) -> bool:
    """Votes; returns the result of two votes ago (of this one, if there is one process)."""
    if jax.process_count() == 1:
      return self._told(wish)
    # A vote is a small program behind its step. To read it at once would be to wait for the step;
    # the one that is read now is of a step whose scalars the host has waited for anyway.
    self._running.append(self._dispatch(wish))
    return len(self._running) > STEPS_IN_FLIGHT and self._read(self._running.popleft())

  def any_process_now(self, wish: int) -> bool:
    """Votes and waits for the result, which is true also if it was before this."""
    if jax.process_count() == 1:
      return self._told(wish)
    self._running.append(self._dispatch(wish))
    results = [self._read(x) for x in self._running]
    self._running.clear()
    return any(results)

  def _read(self, vote: jax.Array) -> bool:
    return self._told(int(sharding.local_copy(vote)))

  def _told(self, wish: int) -> bool:
    self.wish = max(self.wish, wish)
    return wish > 0

  def _dispatch(self, wish: int) -> jax.Array:
    return self._count(sharding.on_own_devices(int(wish), self._mesh))
