"""Batches of one group each, in an order that the seed alone decides."""

import pickle

from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest

from hrnet_jax.data import grouping

many = settings(deadline=None, max_examples=60, database=None)
ORDER = [5, 0, 1, 4, 3, 6, 2, 3, 5, 0, 4, 1, 2, 6, 3, 2]
groups_ = st.lists(st.integers(0, 2), min_size=1, max_size=30).map(np.array)


@many
@given(groups_, st.integers(1, 9))
def test_one_pass_holds_every_example_once(groups, batch_size):
  positions, real = grouping.padded(groups, batch_size)
  assert len(positions) % batch_size == 0
  np.testing.assert_array_equal(np.sort(positions[real]), np.arange(len(groups)))
  batches = groups[positions.reshape(-1, batch_size)]
  assert (batches == batches[:, :1]).all()
  for group in np.unique(groups):  # in order within each group, fewer than a batch repeated
    members = positions[real & (groups[positions] == group)]
    assert (np.diff(members) > 0).all()
    assert (~real & (groups[positions] == group)).sum() == -len(members) % batch_size


def test_a_pass_by_hand():
  positions, real = grouping.padded(np.array([1, 0, 1, 1, 0]), 2)
  assert positions.tolist() == [1, 4, 0, 2, 3, 3]
  assert real.tolist() == [True] * 5 + [False]


@many
@given(groups_, st.integers(1, 9), st.integers(0, 99))
def test_shuffled_passes_lose_nothing_and_fill_up_with_their_own(groups, batch_size, seed):
  passes = grouping.Passes(groups, batch_size, seed)
  sizes = np.bincount(groups, minlength=3)
  padded = -(-sizes // batch_size) * batch_size
  length = int(padded.sum())
  for number in (0, 1, 5):
    order = np.array([passes[number * length + i] for i in range(length)])
    batches = groups[order.reshape(-1, batch_size)]
    assert (batches == batches[:, :1]).all()
    seen = np.bincount(order, minlength=len(groups))
    for group in range(3):
      times = seen[groups == group]
      # Repeated equally often, up to one: the rest of the group's last batch begins anew.
      assert times.sum() == padded[group]
      assert not len(times) or (times.min() >= 1 and times.max() - times.min() <= 1)


def test_passes_differ_and_batches_of_groups_are_mixed():
  groups = np.array([0] * 40 + [1] * 20)
  passes = grouping.Passes(groups, 4, 3)
  orders = [tuple(passes[60 * number + i] for i in range(60)) for number in range(3)]
  assert len(set(orders)) == 3
  kinds = groups[np.array(orders[0])].reshape(-1, 4)[:, 0]
  assert 0 < np.flatnonzero(kinds == 1)[0] < 10
  assert (np.diff(kinds) != 0).sum() >= 4
  assert orders[0] == tuple(grouping.Passes(groups, 4, 3)[i] for i in range(60))
  assert orders[0] != tuple(grouping.Passes(groups, 4, 4)[i] for i in range(60))


def test_the_order_of_a_seed_never_changes():
  # A change of this breaks the exact continuation of runs made before it.
  passes = grouping.Passes(np.array([0, 1, 0, 0, 1, 0, 0]), 2, 0)
  assert [passes[i] for i in range(16)] == ORDER


def test_any_position_in_any_order_and_other_processes():
  passes = grouping.Passes(np.array([0, 1, 0, 0, 1, 0, 0]), 2, 0)
  straight = [passes[i] for i in range(80)]
  assert [passes[i] for i in reversed(range(80))] == straight[::-1]
  copy = pickle.loads(pickle.dumps(passes))
  assert [copy[i] for i in range(80)] == straight
  assert len(passes) > 10**9
  assert passes[len(passes) - 1] in range(7)


def test_one_number_for_each_example():
  assert grouping.checked(None, 3).tolist() == [0, 0, 0]
  with pytest.raises(ValueError, match=r"groups have shape \(2,\), expected \(3,\)"):
    grouping.checked(np.zeros(2), 3)
