"""The process itself: compilation cache, compiled programs, SIGTERM, steps under way."""

from collections.abc import Callable
import contextlib
import ctypes
import os
import pathlib
import signal
import sys
from types import FrameType
from typing import Any

from absl import logging
import jax

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
  """Notes SIGTERM, by which schedulers announce the end, instead of dying; a context manager."""

  def __init__(self) -> None:
    self.requested = False

  def __enter__(self) -> "Termination":
    self._previous = signal.signal(signal.SIGTERM, self._note)
    return self

  def __exit__(self, *exc_info: object) -> None:
    signal.signal(signal.SIGTERM, self._previous)

  def _note(self, signum: int, frame: FrameType | None) -> None:
    del signum, frame
    self.requested = True
