"""Contenders that need no library: small work with a known answer."""

import os
import time

from benchmarks.worker import Contender, timed

MIB = 2**20


def counter(start: int) -> Contender:
  """Takes as many seconds for a call as there were calls, as its own clock says."""
  done = [start]

  def run(calls: int) -> float:
    done[0] += calls
    print("not an answer")  # what libraries print must not be taken for one
    return float(done[0])

  facts = {"start": start, "pid": os.getpid(), "threads": os.environ["OMP_NUM_THREADS"]}
  return Contender(facts, run)


def eater(held: int, foreign: int) -> Contender:
  """Holds `held` MiB while it works."""

  def work() -> None:
    bytearray(held * MIB)

  return Contender({}, timed(work), foreign)


def broken() -> Contender:
  """Fails."""
  raise ValueError("no such network")


def slow() -> Contender:
  """Is not ready in time."""
  time.sleep(60)
  return counter(0)
