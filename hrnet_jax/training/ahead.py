"""Batches read some steps before they are needed, so that all processes stop before a bad one."""

from collections import deque
from typing import Any

import jax

from hrnet_jax.data.pipeline import Loader
from hrnet_jax.distributed import board, collectives
from hrnet_jax.distributed.runtime import STEPS_IN_FLIGHT
from hrnet_jax.errors import UserError

UNREADABLE = 64  # a wish of `StopVote`, above all signals
_KEY = "unreadable data"


class Ahead:
  """A loader of one process of a run.

  Where one process cannot read its part of a batch, the others must not begin that batch's step,
  which none of them could finish. A vote is known two steps later, so each process reads that far
  ahead. A process that is alone reads when it needs a batch.

  Attributes:
    error: why there are no more batches, once that is known.
  """

  def __init__(self, loader: Loader, count: int):
    """`count` is the number of batches that will be asked for; no more are read."""
    self._loader, self._left = loader, count
    self._depth = STEPS_IN_FLIGHT + 1 if jax.process_count() > 1 else 0
    self._batches: deque[dict[str, Any]] = deque()
    self.error: Exception | None = None

  def __next__(self) -> dict[str, Any]:
    self._fill(1)
    if not self._batches:
      raise self.error or StopIteration
    return self._batches.popleft()

  def look(self) -> None:
    """Reads as far ahead as has to be; an error is kept."""
    self._fill(self._depth)

  def state(self) -> dict[str, int]:
    """See `Loader.state`; counts the batches that were asked for."""
    position = self._loader.state()
    return position | {"next_batch": position["next_batch"] - len(self._batches)}

  def raise_in_all(self) -> None:
    """Ends the run in every process, once everything is saved.

    Raises:
      Exception: the error; in the other processes, one that says so.
    """
    if self.error is not None and board.available():
      board.post(_KEY, str(self.error))
    collectives.barrier("unreadable")
    if self.error is not None:
      raise self.error
    raise UserError(f"another process cannot go on: {board.look(_KEY)}")

  def _fill(self, count: int) -> None:
    while self.error is None and len(self._batches) < count and self._left:
      try:
        self._batches.append(next(self._loader))
      except Exception as error:
        self.error = error
      else:
        self._left -= 1
