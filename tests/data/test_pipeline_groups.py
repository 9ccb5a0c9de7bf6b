"""Loaders whose batches are of one group each: the same promises as without groups."""

from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest

from hrnet_jax.data import pipeline
from tests.data.test_pipeline import AddNoise, KeepValue, Numbers, joined, take

GROUPS = np.array([0, 1, 0, 0, 1, 0, 0, 0, 1, 0, 0])  # eight and three
property_test = settings(deadline=None, max_examples=25, database=None)


def train(groups=GROUPS, batch_size=4, seed=3, **kwargs):
  return pipeline.train_loader(
    Numbers(len(groups)), AddNoise(), batch_size=batch_size, seed=seed, groups=groups, **kwargs
  )


def evaluate(groups, batch_size, **kwargs):
  source = Numbers(len(groups))
  return pipeline.eval_loader(source, KeepValue(), batch_size=batch_size, groups=groups, **kwargs)


def test_batches_are_of_one_group_and_passes_complete():
  batches = take(train(), 6)  # 2 + 1 batches in a pass
  for batch in batches:
    assert len(set(GROUPS[batch["value"]])) == 1
  assert len(set(joined(batches)["noise"])) == 24
  for one in (batches[:3], batches[3:]):
    counts = np.bincount(joined(one)["value"], minlength=11)
    assert (counts[GROUPS == 0] == 1).all()
    assert sorted(counts[GROUPS == 1]) == [1, 1, 2]  # filled up by one


def test_one_group_changes_nothing():
  plain = pipeline.train_loader(Numbers(11), AddNoise(), batch_size=4, seed=3)
  np.testing.assert_equal(take(train(groups=np.full(11, 7)), 5), take(plain, 5))


@pytest.mark.parametrize("process_count", [2, 4])
def test_the_global_batch_is_the_same_for_any_number_of_processes(process_count):
  expected = take(train(), 9)
  shares = [
    take(train(process_index=i, process_count=process_count), 9) for i in range(process_count)
  ]
  np.testing.assert_equal([joined(share) for share in zip(*shares, strict=True)], expected)


@pytest.mark.parametrize("start", [1, 3, 4, 1000001])
def test_resuming_is_the_exact_continuation(start):
  first = max(0, start - 4)
  loader = train(start=first)
  expected = take(loader, start - first + 5)[start - first :]
  np.testing.assert_equal(take(train(start=start, threads=0), 5), expected)


def test_threads_and_worker_processes_change_nothing():
  expected = take(train(threads=0), 9)
  np.testing.assert_equal(take(train(threads=4, prefetch=5), 9), expected)
  np.testing.assert_equal(take(train(workers=2), 9), expected)


@property_test
@given(
  st.lists(st.integers(0, 2), min_size=1, max_size=20).map(np.array),
  st.integers(1, 3),
  st.sampled_from([1, 2, 4]),
)
def test_evaluation_sees_every_example_once_over_all_processes(groups, local, process_count):
  shares = [
    list(
      evaluate(
        groups, local * process_count, process_index=i, process_count=process_count, threads=0
      )
    )
    for i in range(process_count)
  ]
  assert len({len(share) for share in shares}) == 1
  for batch in map(joined, zip(*shares, strict=True)):
    assert len(set(groups[batch["value"]])) == 1
    np.testing.assert_array_equal(batch["index"], np.where(batch["mask"], batch["value"], -1))
  together = joined([joined(batches) for batches in zip(*shares, strict=True)])
  np.testing.assert_array_equal(np.sort(together["value"][together["mask"]]), range(len(groups)))


def test_groups_of_another_source():
  with pytest.raises(ValueError, match=r"groups have shape \(11,\), expected \(5,\)"):
    pipeline.train_loader(Numbers(5), AddNoise(), batch_size=4, seed=3, groups=GROUPS)
