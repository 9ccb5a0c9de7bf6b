"""The process itself: compilation cache, compiled programs, SIGTERM, steps under way."""

from collections.abc import Callable, Iterator
import contextlib
import ctypes
import math
import os
import pathlib
import signal
import sys
import threading
import time
from types import FrameType
from typing import Any

from absl import logging
import jax

from hrnet_jax import ending
from hrnet_jax.errors import UserError

# Steps under way when the host looks at what they return. The devices never wait for the host, and
# more would only hold more batches in memory.
STEPS_IN_FLIGHT = 2
CACHE_VARIABLE = "JAX_COMPILATION_CACHE_DIR"


def set_up() -> None:
  """Prepares a command: quiet libraries and a compilation cache."""
  logging.set_verbosity(logging.ERROR)
  use_compilation_cache()


def use_compilation_cache() -> None:
  """Keeps compiled programs in `~/.cache/hrnet_jax/xla`, so that only the first start compiles.

  $JAX_COMPILATION_CACHE_DIR names another folder; empty, it turns the cache off.
  """
  folder = os.environ.get(CACHE_VARIABLE)
  if folder is None:
    with contextlib.suppress(RuntimeError):  # a user without a home folder has no cache
      folder = str(pathlib.Path.home() / ".cache" / "hrnet_jax" / "xla")
  if folder:
    jax.config.update("jax_compilation_cache_dir", folder)


def compiled(function: Any, *arguments: Any) -> Callable[..., Any]:
  """Compiles what `jax.jit` made for the shapes of these arguments, which are not computed with.

  The memory that this needed, more than many a program works with, goes back to the system; glibc
  would keep it.
  """
  program = function.lower(*arguments).compile()
  if sys.platform == "linux" and (trim := getattr(ctypes.CDLL(None), "malloc_trim", None)):
    trim(0)
  return program


class Termination:
  """Notes SIGTERM, by which schedulers announce the end, and Ctrl-C; a context manager.

  The run asks for it, saves and ends. In a command, the process ends without if that takes longer
  than the grace, or before there is anything to save, or at the second Ctrl-C; in a notebook, the
  second Ctrl-C raises KeyboardInterrupt. Outside of the main thread, signals are somebody else's.

  Attributes:
    requested: the signal, 0 if there was none.
    answered: the signal, of any process, by which the run has ended; set by the run.
    started: whether there is something that was not there when the run started; set by the run.
    saving: whether the last checkpoint is being written; set by the run.
  """

  def __init__(self, grace_seconds: float = 30.0, goes_on: Callable[[], str] = lambda: ""):
    """Both are for a process that has to be ended before the run is ready.

    Args:
      grace_seconds: how long SIGTERM may take.
      goes_on: tells people where the same command would go on.

    Raises:
      UserError: the grace is not positive.
    """
    if grace_seconds <= 0:
      raise UserError(f"checkpoint.grace_seconds is {grace_seconds}, expected more than 0")
    self.requested, self.answered, self.started, self.saving = 0, 0, False, False
    self._grace, self._goes_on = grace_seconds, goes_on
    self._first = 0.0  # time of the first Ctrl-C
    self._exits = contextlib.ExitStack()

  def __enter__(self) -> "Termination":
    if threading.current_thread() is not threading.main_thread():
      return self
    self._exits.enter_context(_handling(signal.SIGTERM, self.note))
    if command := ending.command():
      self._exits.enter_context(command.graceful(self))
    elif signal.getsignal(signal.SIGINT) is signal.default_int_handler:
      self._exits.enter_context(_handling(signal.SIGINT, self.note))
    return self

  def __exit__(self, *exc_info: object) -> None:
    self._exits.close()

  def note(self, signum: int, frame: FrameType | None) -> None:
    """See `ending.Graceful`."""
    del frame
    now = time.monotonic()
    again = self.requested == signal.SIGINT == signum and now - self._first > ending.SAME_SECONDS
    if again and ending.command() is None:
      raise KeyboardInterrupt
    if not self.requested:
      self.requested, self._first = signum, now

  def seconds(self, signum: int) -> float:
    """See `ending.Graceful`."""
    if not self.started:
      return 0.0
    return math.inf if self.saving or signum == signal.SIGINT else self._grace

  def line(self, signum: int) -> str:
    """See `ending.Graceful`."""
    late = self.started and signum == signal.SIGTERM
    why = (
      f"no step could be saved in {self._grace:g} s (checkpoint.grace_seconds); " if late else ""
    )
    return why + self._goes_on()

  def notice(self) -> str:
    """See `ending.Graceful`."""
    return "Ctrl-C: ending with a checkpoint; once more ends at once"


@contextlib.contextmanager
def _handling(signum: int, handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
  before = signal.signal(signum, handler)
  try:
    yield
  finally:
    # A handler that is not Python's cannot be put back.
    signal.signal(signum, signal.SIG_DFL if before is None else before)
