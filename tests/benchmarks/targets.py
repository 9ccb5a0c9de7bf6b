"""Rivals for `apart` that need no library: small work with a known answer."""

import os
import time

from benchmarks import apart

MIB = 2**20


def counter(start: int) -> apart.Rival:
  """Takes as many seconds for a call as there were calls, as its own clock says."""
  done = [start]

  def turn(calls: int) -> float:
    done[0] += calls
    print("not an answer")  # what libraries print must not be taken for one
    return float(done[0])

  facts = {"start": start, "pid": os.getpid(), "threads": os.environ["OMP_NUM_THREADS"]}
  return apart.Rival(facts, turn)


def eater(held: int, foreign: int) -> apart.Rival:
  """Holds `held` MiB in its turns."""

  def work() -> None:
    bytearray(held * MIB)

  return apart.Rival({}, apart.timed(work), foreign)


def broken() -> apart.Rival:
  """Fails."""
  raise ValueError("no such network")


def slow() -> apart.Rival:
  """Is not ready in time."""
  time.sleep(60)
  return counter(0)
