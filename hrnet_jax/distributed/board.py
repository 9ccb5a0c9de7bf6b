"""Notes that processes leave for each other with the one that started the job, without devices."""

import time

import jax
from jax._src import distributed  # has no public door; storage libraries use it, too

from hrnet_jax.errors import UserError

_PREFIX = "hrnet_jax"


class KnownToAll(UserError):
  """An error that every process of the job raises, with the same text."""


def available() -> bool:
  """Whether there are other processes to write to; does not touch the devices."""
  return distributed.global_state.client is not None and distributed.global_state.num_processes > 1


def process() -> int:
  """Which process of the job this is; does not touch the devices."""
  return distributed.global_state.process_id


def post(key: str, text: str) -> None:
  """Leaves a note; the first one under a key stays."""
  try:
    distributed.global_state.client.key_value_set(f"{_PREFIX}/{key}", text)
  except jax.errors.JaxRuntimeError as error:
    if "ALREADY_EXISTS" not in str(error):
      raise


def look(key: str) -> str | None:
  """The note under a key, if it is there, and can be had just now."""
  try:
    return str(distributed.global_state.client.key_value_try_get(f"{_PREFIX}/{key}"))
  except jax.errors.JaxRuntimeError:
    return None


def read(key: str, seconds: float) -> str:
  """The note under a key, once it is there.

  Raises:
    TimeoutError: nobody left one in time.
  """
  end = time.monotonic() + seconds
  while (left := end - time.monotonic()) > 0:
    try:
      wait = int(1000 * min(left, 60)) + 1
      client = distributed.global_state.client
      return str(client.blocking_key_value_get(f"{_PREFIX}/{key}", wait))
    except jax.errors.JaxRuntimeError as error:
      if "DEADLINE_EXCEEDED" not in str(error):
        raise
  raise TimeoutError(f"waited {seconds:.0f} s for another process to say {key!r}")
