"""What one process says about many of them; many are in tests/end_to_end/test_pods.py."""

import numpy as np
import pytest

from hrnet_jax.distributed import collectives
from hrnet_jax.distributed.collectives import Ballot
from tests.helpers import toy


def test_one_process_is_all_of_them():
  total = {"a": np.arange(3, dtype=np.int64), "b": np.float64(2**60 + 1)}
  added = collectives.add_processes(total)
  np.testing.assert_array_equal(added["a"], total["a"])
  assert added["a"].dtype == np.int64
  assert added["b"] == total["b"]
  assert collectives.gather_processes({7: 0.5, 3: float("-inf")}) == {7: 0.5, 3: float("-inf")}
  assert collectives.gather_processes({}) == {}
  assert collectives.gather_bytes(b"\0ab\0") == [b"\0ab\0"]
  assert collectives.gather_bytes(b"") == [b""]
  assert collectives.all_agree(True) is True
  assert collectives.all_agree(False) is False
  assert collectives.of_first([9, 4, 0]) == [9, 4, 0]
  assert collectives.of_first(list(range(100)), most=3) == [0, 1, 2]
  collectives.meet("here")


def test_alone_a_wish_counts_at_once():
  ballot = Ballot(toy.make_mesh(4))
  assert [ballot.cast(x) for x in (False, True, False)] == [False, True, False]
  assert ballot.now(True)
  assert not ballot.now(False)


@pytest.fixture
def many(monkeypatch):
  """Behaves as with other processes, which have no wish of their own."""
  monkeypatch.setattr(collectives.jax, "process_count", lambda: 2)


def test_among_many_a_wish_counts_two_votes_later(many):
  ballot = Ballot(toy.make_mesh(4, 2))
  votes = [ballot.cast(x) for x in (False, True, False, False, False)]
  assert votes == [False, False, False, True, False]


def test_a_vote_that_waits_sees_those_under_way(many):
  ballot = Ballot(toy.make_mesh(8))
  assert not ballot.cast(True)
  assert ballot.now(False)
  assert not ballot.now(False)
