"""Worker processes and their shared memory do not outlive the process that started them."""

import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

from hrnet_jax import processes
from hrnet_jax.data import workers
from tests.helpers import environment

MEMORY = pathlib.Path("/dev/shm")
READ = """
import multiprocessing, sys, time
import numpy as np
from hrnet_jax.data import pipeline

class Numbers:
  def __len__(self):
    return 1000
  def __getitem__(self, index):
    return {"name": str(index), "value": np.full(100_000, index, np.int32)}

def same(record, rng):
  return record

if __name__ == "__main__":
  with pipeline.train_loader(
    Numbers(), same, batch_size=2, seed=0, workers=int(sys.argv[1])
  ) as loader:
    for _ in range(6):
      next(loader)
    print(*(x.pid for x in multiprocessing.active_children()), flush=True)
    for line in sys.stdin:
      print(next(loader)["value"].shape[0], flush=True)
"""

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /dev/shm and /proc")


def shared() -> set[str]:
  return {path.name for path in MEMORY.iterdir()}


def wait_for(condition):
  deadline = time.monotonic() + 30
  while not condition():
    assert time.monotonic() < deadline
    time.sleep(0.05)


@pytest.fixture
def reader(tmp_path):
  """Starts a process that reads with workers; returns it and who these are."""
  started = []

  def start(count: int, **options):
    (tmp_path / "read.py").write_text(READ)
    process = subprocess.Popen(
      [sys.executable, str(tmp_path / "read.py"), str(count)],
      env=os.environ | {"PYTHONPATH": str(environment.ROOT)},
      stdin=subprocess.PIPE,
      stdout=subprocess.PIPE,
      stderr=subprocess.PIPE,
      text=True,
      **options,
    )
    started.append(process)
    pids = [int(x) for x in process.stdout.readline().split()]
    assert len(pids) == count, process.communicate()
    return process, [processes.identity(pid) for pid in pids]

  yield start
  for process in started:
    process.kill()
    process.wait()
    for stream in (process.stdin, process.stdout, process.stderr):
      stream.close()


@pytest.mark.parametrize(
  ("count", "number"),
  [(2, signal.SIGKILL), pytest.param(4, signal.SIGABRT, marks=pytest.mark.slow)],
)
def test_they_die_with_their_parent_and_leave_no_memory(reader, count, number):
  before = shared()
  process, who = reader(count)
  assert all(processes.lives(x) for x in who)
  assert any(name.startswith("hrnet-") for name in shared() - before)
  process.send_signal(number)
  process.wait()
  wait_for(lambda: not any(processes.lives(x) for x in who))
  wait_for(lambda: not shared() - before)
  assert "leaked" not in process.stderr.read()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_they_leave_signals_to_their_parent(reader, number):
  process, who = reader(1)
  os.kill(who[0].pid, number)
  process.stdin.write("a\nb\nc\nd\n")
  process.stdin.close()
  assert process.stdout.read() == "2\n" * 4
  assert process.wait(timeout=60) == 0
  assert processes.lives(who[0]) is False
  assert process.stderr.read() == ""


def test_the_next_start_removes_what_nobody_was_left_to_remove():
  own = processes.identity()
  namespace = own.namespace.strip("pid:[]")
  names = [
    f"hrnet-{namespace}-{own.pid}-{own.start}-aa",  # of one that lives
    f"hrnet-{namespace}-{own.pid}-{int(own.start) - 5}-bb",
    f"hrnet-1-{own.pid}-{int(own.start) - 5}-cc",  # of another container
    "hrnet-mine",
  ]
  try:
    for name in names:
      (MEMORY / name).touch()
    workers._remove_leftovers()
    assert [(MEMORY / name).exists() for name in names] == [True, False, True, True]
  finally:
    for name in names:
      (MEMORY / name).unlink(missing_ok=True)
