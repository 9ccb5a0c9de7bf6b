"""Workers: answers, memory, messages of those that fail, and the arithmetic of rounds."""

import os

import pytest

from benchmarks import worker
from benchmarks.worker import Rate, Worker

TARGETS = "tests.benchmarks.targets"


def test_works_until_it_is_closed() -> None:
  with Worker(f"{TARGETS}:counter", {"start": 5}, threads=1) as contender:
    assert contender.facts["start"] == 5
    assert contender.facts["threads"] == "1"
    assert [contender.run(), contender.run(3), contender.run()] == [6.0, 9.0, 10.0]
    pid = contender.facts["pid"]
    os.kill(pid, 0)  # it is there
  with pytest.raises(ProcessLookupError):
    os.kill(pid, 0)


def test_peak_memory_is_that_of_the_largest_call_without_what_is_foreign() -> None:
  peaks = []
  for foreign in (0, 100):
    arguments = {"held": 200, "foreign": foreign}
    with Worker(f"{TARGETS}:eater", arguments, threads=1) as contender:
      before = contender.peak_mib()
      contender.run()
      peaks.append(contender.peak_mib())
    assert peaks[-1] == pytest.approx(before + 200, abs=40)
  assert peaks[1] == pytest.approx(peaks[0] - 100, abs=20)


def test_a_failure_shows_the_end_of_what_the_worker_wrote() -> None:
  with pytest.raises(
    worker.WorkerFailed, match=r"(?s):broken ended with status 1.*no such network"
  ):
    worker.facts_of(f"{TARGETS}:broken", {}, threads=1)


def test_one_that_is_not_ready_in_time_is_ended() -> None:
  with pytest.raises(worker.WorkerFailed, match=r":slow was not ready after 1 s"):
    worker.facts_of(f"{TARGETS}:slow", {}, threads=1, limit=1)


def test_the_first_call_after_a_break_is_left_out() -> None:
  done = []
  run = worker.timed(lambda: done.append(1))
  run(1)
  assert len(done) == 2
  assert run(4) > 0
  assert len(done) == 2 + 5


def test_everybody_begins_once_in_as_many_rounds_as_there_are_contenders() -> None:
  order = []
  contenders = {name: lambda n=name: order.append(n) for name in "abc"}
  seconds = worker.run_rounds(contenders, 3)
  assert "".join(order) == "abcbcacab"
  assert all(len(x) == 3 and min(x) >= 0 for x in seconds.values())


def test_a_contender_may_tell_its_own_time() -> None:
  seconds = worker.run_rounds({"own": lambda: 2.5, "none": lambda: None}, 2)
  assert seconds["own"] == [2.5, 2.5]
  assert max(seconds["none"]) < 1


def test_speedups_are_taken_round_by_round() -> None:
  seconds, others = [1.0, 2.0, 4.0], [2.0, 2.0, 2.0]
  assert worker.speedup(seconds, others) == Rate(1.0, 0.5, 2.0)
  assert worker.speedup(others, seconds) == Rate(1.0, 0.5, 2.0)
  assert worker.speedup([2.0], [3.0]).median == pytest.approx(1.5)
  assert worker.rate([0.5, 0.25, 1.0], 10) == Rate(20.0, 10.0, 40.0)
