"""Turns and ratios by hand."""

import pytest

from benchmarks import harness


def test_everybody_begins_once_in_as_many_rounds_as_there_are_rivals() -> None:
  order = []
  rivals = {name: lambda n=name: order.append(n) for name in "abc"}
  seconds = harness.take_turns(rivals, 3)
  assert "".join(order) == "abcbcacab"
  assert all(len(x) == 3 and min(x) >= 0 for x in seconds.values())


def test_a_rival_may_tell_its_own_time() -> None:
  seconds = harness.take_turns({"own": lambda: 2.5, "none": lambda: None}, 2)
  assert seconds["own"] == [2.5, 2.5]
  assert max(seconds["none"]) < 1


def test_ratio_and_multiple_are_taken_round_by_round() -> None:
  ours, theirs = [1.0, 2.0, 4.0], [2.0, 2.0, 2.0]
  assert harness.ratio(ours, theirs) == harness.Rate(1.0, 0.5, 2.0)
  assert harness.multiple(ours, theirs) == harness.Rate(1.0, 0.5, 2.0)
  assert harness.multiple([3.0], [2.0]).median == pytest.approx(1.5)
  assert harness.rate([0.5, 0.25, 1.0], 10) == harness.Rate(20.0, 10.0, 40.0)
