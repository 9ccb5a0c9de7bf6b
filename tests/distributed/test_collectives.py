"""What one process says about many of them; many are in tests/end_to_end/test_pods.py."""

import numpy as np
import pytest

from hrnet_jax.distributed import collectives
from hrnet_jax.distributed.collectives import StopVote
from tests.helpers import toy


def test_one_process_is_all_of_them():
  total = {"a": np.arange(3, dtype=np.int64), "b": np.float64(2**60 + 1)}
  added = collectives.sum_over_processes(total)
  np.testing.assert_array_equal(added["a"], total["a"])
  assert added["a"].dtype == np.int64
  assert added["b"] == total["b"]
  assert collectives.gather_values({7: 0.5, 3: float("-inf")}) == {7: 0.5, 3: float("-inf")}
  assert collectives.gather_values({}) == {}
  assert collectives.gather_bytes(b"\0ab\0") == [b"\0ab\0"]
  assert collectives.gather_bytes(b"") == [b""]
  assert collectives.all_processes(True) is True
  assert collectives.all_processes(False) is False
  assert collectives.of_first_process([9, 4, 0]) == [9, 4, 0]
  assert collectives.of_first_process(list(range(100)), most=3) == [0, 1, 2]
  collectives.barrier("here")


def test_alone_a_wish_counts_at_once():
  vote = StopVote(toy.make_mesh(4))
  assert [vote.any_process(x) for x in (False, True, False)] == [False, True, False]
  assert vote.any_process_now(True)
  assert not vote.any_process_now(False)


def test_the_wish_that_counted_is_kept():
  vote = StopVote(toy.make_mesh(4))
  vote.any_process(0)
  assert vote.wish == 0
  vote.any_process(15)
  vote.any_process_now(2)
  assert vote.wish == 15


@pytest.fixture
def many(monkeypatch):
  """Behaves as with other processes, which have no wish of their own."""
  monkeypatch.setattr(collectives.jax, "process_count", lambda: 2)


def test_among_many_a_wish_counts_two_votes_later(many):
  vote = StopVote(toy.make_mesh(4, 2))
  votes = [vote.any_process(x) for x in (False, True, False, False, False)]
  assert votes == [False, False, False, True, False]
  assert vote.wish == 1


def test_a_vote_that_waits_sees_those_under_way(many):
  vote = StopVote(toy.make_mesh(8))
  assert not vote.any_process(True)
  assert vote.any_process_now(False)
  assert not vote.any_process_now(False)
