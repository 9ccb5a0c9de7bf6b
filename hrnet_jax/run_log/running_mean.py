"""Scalars of steps that may still be running, and the pace of training."""

import collections
import math
import time

import jax
import numpy as np

from hrnet_jax.distributed.runtime import STEPS_IN_FLIGHT


class Diverged(FloatingPointError):
  """A loss that is not finite."""


class RunningMean:
  """Averages scalars between two readings without making the devices wait for the host."""

  def __init__(self, batch_size: int):
    self._batch_size = batch_size
    self._running: collections.deque[tuple[int, dict[str, jax.Array]]] = collections.deque()
    self._done: list[dict[str, float]] = []
    self.restart()

  def restart(self) -> None:
    """Starts the clock anew, after something that is not training."""
    self._since, self._steps = time.monotonic(), 0

  def add(self, step: int, scalars: dict[str, jax.Array]) -> None:
    """Takes a step that was dispatched; waits for the one `STEPS_IN_FLIGHT` before it.

    Raises:
      Diverged: the loss of that one is not finite.
    """
    self._running.append((step, scalars))
    self._steps += 1
    while len(self._running) > STEPS_IN_FLIGHT:
      self._finish()

  def drain(self) -> None:
    """Waits for all steps.

    Raises:
      Diverged: as `add`.
    """
    while self._running:
      self._finish()

  def read(self) -> tuple[dict[str, float], float]:
    """Waits; then the means since the last reading with images/s, and the seconds of a step.

    Raises:
      Diverged: as `add`.
    """
    self.drain()
    seconds = (time.monotonic() - self._since) / max(self._steps, 1)
    means = {key: float(np.mean([row[key] for row in self._done])) for key in self._done[0]}
    self._done.clear()
    self.restart()
    return means | {"images/s": self._batch_size / max(seconds, 1e-9)}, seconds

  def _finish(self) -> None:
    step, scalars = self._running.popleft()
    values = {key: float(value) for key, value in jax.device_get(scalars).items()}
    if not math.isfinite(values["loss"]):
      raise Diverged(f"step {step}: the loss is {values['loss']}")
    self._done.append(values)
