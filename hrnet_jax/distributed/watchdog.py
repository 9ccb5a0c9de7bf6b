"""Says what a run is waiting for when it waits too long: a batch, a step, a checkpoint."""

from collections.abc import Callable
import faulthandler
import sys
import threading
import time

import jax

from hrnet_jax import ending
from hrnet_jax.errors import UserError

EXIT_STATUS = 75  # EX_TEMPFAIL: starting again may help


class Watchdog:
  """A thread that looks at how long the same thing has been waited for; a context manager.

  Every process watches itself, because where one hangs the others wait for it. Time in which the
  whole process stood still, as in a laptop that slept, does not count.
  """

  def __init__(
    self,
    *,
    warn: float = 300.0,
    abort: float = 0.0,
    end: Callable[[int], None] = ending.leave,
  ):
    """Both are seconds; 0 is never.

    Args:
      warn: after which the process says what it is waiting for, and where in the code.
      abort: after which it ends with status 75, so that a scheduler can start the job again. What
        compiles (`patient`) is only warned about.
      end: ends the process.

    Raises:
      ValueError: a number is negative.
    """
    if min(warn, abort) < 0:
      raise UserError(f"train.watchdog has warn {warn} and abort {abort}; expected 0 or more")
    self._warn, self._abort, self._end = warn, abort, end
    self._still = 0.0  # seconds in which this process did not run
    self._what, self._since, self._patient, self._warned = "start", time.monotonic(), True, False
    self._stop = threading.Event()
    self._thread: threading.Thread | None = None

  def __enter__(self) -> "Watchdog":
    limits = [x for x in (self._warn, self._abort) if x]
    if limits:
      self._every = min(limits) / 10
      self._thread = threading.Thread(target=self._look, name="watchdog", daemon=True)
      self._thread.start()
    return self

  def __exit__(self, *exc_info: object) -> None:
    self._stop.set()
    if self._thread is not None:
      self._thread.join()

  def watch(self, what: str, *, patient: bool = False) -> None:
    """From now on the process waits for this; `patient` if that may take long."""
    self._warned = False
    self._what, self._since, self._patient = what, time.monotonic() - self._still, patient

  def _look(self) -> None:
    last = time.monotonic()
    while not self._stop.wait(self._every):
      last, before = time.monotonic(), last
      # This thread runs whenever the process does, but for moments.
      missed = last - before - self._every
      self._still += missed if missed > self._every else 0.0
      waited = last - self._still - self._since
      if self._warn and waited > self._warn and not self._warned:
        self._warned = True
        self._say(f"{self._what} has taken {waited:.0f} s so far")
        faulthandler.dump_traceback(sys.stderr)
      if self._abort and waited > self._abort and not self._patient:
        self._say(
          f"{self._what} has taken {waited:.0f} s: giving up (train.watchdog.abort); the same "
          "command goes on from the newest checkpoint"
        )
        self._end(EXIT_STATUS)
        return

  def _say(self, text: str) -> None:
    process = f" of process {jax.process_index()}" if jax.process_count() > 1 else ""
    print(f"watchdog{process}: {text}", file=sys.stderr, flush=True)
