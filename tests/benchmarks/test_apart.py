"""Rivals in their own processes: answers, memory, and what is said of those that fail."""

import os

import pytest

from benchmarks import apart

TARGETS = "tests.benchmarks.targets"


def test_takes_turns_until_it_is_closed() -> None:
  with apart.Apart(f"{TARGETS}:counter", {"start": 5}, threads=1) as rival:
    assert rival.facts["start"] == 5
    assert rival.facts["threads"] == "1"
    assert [rival.turn(), rival.turn(3), rival.turn()] == [6.0, 9.0, 10.0]
    pid = rival.facts["pid"]
    os.kill(pid, 0)  # it is there
  with pytest.raises(ProcessLookupError):
    os.kill(pid, 0)


def test_peak_memory_is_that_of_the_largest_turn_without_what_is_foreign() -> None:
  peaks = []
  for foreign in (0, 100):
    arguments = {"held": 200, "foreign": foreign}
    with apart.Apart(f"{TARGETS}:eater", arguments, threads=1) as rival:
      before = rival.peak_mib()
      rival.turn()
      peaks.append(rival.peak_mib())
    assert peaks[-1] == pytest.approx(before + 200, abs=40)
  assert peaks[1] == pytest.approx(peaks[0] - 100, abs=20)


def test_a_failure_shows_the_end_of_what_the_rival_wrote() -> None:
  with pytest.raises(apart.Failed, match=r"(?s):broken ended with status 1.*no such network"):
    apart.run(f"{TARGETS}:broken", {}, threads=1)


def test_one_that_is_not_ready_in_time_is_ended() -> None:
  with pytest.raises(apart.Failed, match=r":slow was not ready after 1 s"):
    apart.run(f"{TARGETS}:slow", {}, threads=1, limit=1)


def test_the_first_of_several_calls_is_left_out() -> None:
  done = []
  turn = apart.timed(lambda: done.append(1))
  turn(1)
  assert len(done) == 1
  assert 0 < turn(4) < 0.1
  assert len(done) == 1 + 5
