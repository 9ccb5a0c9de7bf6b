"""What hangs is named once; what compiles may take long."""

import signal
import subprocess
import sys
import threading
import time

import pytest

from hrnet_jax.distributed import watchdog
from hrnet_jax.distributed.watchdog import EXIT_STATUS, Watchdog


def wait_for(condition):
  deadline = time.monotonic() + 20
  while not condition():
    assert time.monotonic() < deadline
    time.sleep(0.005)


def test_a_hang_is_named_once_with_the_place_in_the_code(capfd):
  said = ""
  with Watchdog(warn=0.05) as watchdog:
    watchdog.watch("waiting for batch 7 of the training data")
    while "most recent call first" not in said:
      time.sleep(0.01)
      said += capfd.readouterr().err
    time.sleep(0.2)
  said += capfd.readouterr().err
  assert said.count("watchdog: waiting for batch 7 of the training data has taken") == 1
  assert "test_watchdog.py" in said


def test_progress_is_silent(capfd):
  with Watchdog(warn=0.4) as watchdog:
    for step in range(30):
      watchdog.watch(f"step {step}")
      time.sleep(0.02)
  assert capfd.readouterr().err == ""


def test_the_process_ends_with_a_status_that_asks_for_another_try(capfd):
  ends = []
  with Watchdog(warn=0, abort=0.05, end=ends.append) as watchdog:
    watchdog.watch("step 3 on the devices")
    wait_for(lambda: ends)
  assert ends == [EXIT_STATUS]
  said = capfd.readouterr().err
  assert "step 3 on the devices has taken" in said
  assert "goes on from the newest checkpoint" in said


def test_what_may_take_long_does_not_end_the_process(capfd):
  ends = []
  with Watchdog(warn=0.03, abort=0.05, end=ends.append) as watchdog:
    watchdog.watch("step 1 on the devices", patient=True)
    time.sleep(0.3)
    assert ends == []
    watchdog.watch("step 2 on the devices")
    wait_for(lambda: ends)
  assert "watchdog: step 1 on the devices has taken" in capfd.readouterr().err


def test_time_in_which_the_process_stood_still_does_not_count(capfd, monkeypatch):
  """The clock jumps, as it does for a process that was stopped and continued."""
  jump, ends = [0.0], []
  real = time.monotonic
  monkeypatch.setattr(watchdog.time, "monotonic", lambda: real() + jump[0])
  with Watchdog(warn=1, abort=2, end=ends.append) as guard:
    guard.watch("step 3 on the devices")
    time.sleep(0.3)
    jump[0] = 500.0
    time.sleep(0.5)
    assert ends == []
    assert capfd.readouterr().err == ""
    wait_for(lambda: ends)  # what hangs afterwards is found all the same
  assert "step 3 on the devices has taken 2 s" in capfd.readouterr().err


@pytest.mark.slow
def test_a_stopped_and_continued_process_goes_on():
  code = (
    "import time\nfrom hrnet_jax.distributed.watchdog import Watchdog\n"
    "with Watchdog(warn=1, abort=1.5) as watchdog:\n"
    "  for step in range(30):\n"
    "    watchdog.watch(f'step {step}')\n    print(step, flush=True)\n    time.sleep(0.1)\n"
  )
  process = subprocess.Popen(
    [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
  )
  assert process.stdout.readline() == "0\n"
  process.send_signal(signal.SIGSTOP)
  time.sleep(4)
  process.send_signal(signal.SIGCONT)
  said = process.communicate(timeout=60)[1]
  assert (process.returncode, said) == (0, "")


def test_zero_is_never():
  before = threading.active_count()
  with Watchdog(warn=0, abort=0) as watchdog:
    watchdog.watch("step 1")
    assert threading.active_count() == before


def test_negative_times_are_refused():
  with pytest.raises(ValueError, match=r"train.watchdog has warn -1 and abort 0"):
    Watchdog(warn=-1, abort=0)
