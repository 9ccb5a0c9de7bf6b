"""The order of the data is a function of the seed alone, and every example counts once."""

import json
import multiprocessing
import subprocess
import sys
import textwrap
import threading
import time

import grain
from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest

from hrnet_jax.data import images, pipeline
from hrnet_jax.tasks.segmentation.transforms import SegmentationTrainTransform

property_test = settings(deadline=None, max_examples=40, database=None)
ORDER_OF_SEED_0 = ([5, 8, 9, 7, 4, 2, 1, 0, 3, 6], [6, 9, 4, 8, 0, 7, 3, 2, 1, 5])


class Numbers:
  """`length` records that hold their own position."""

  def __init__(self, length):
    self._length = length

  def __len__(self):
    return self._length

  def __getitem__(self, index):
    if not 0 <= index < self._length:
      raise IndexError(index)
    return {"value": np.int64(index), "name": f"number_{index}"}


class AddNoise(grain.transforms.RandomMap):
  """The value and a random number."""

  def random_map(self, record, rng):
    return {"value": record["value"], "noise": rng.integers(2**40)}


class FailAt(grain.transforms.RandomMap):
  """Raises an error of the given kind at one record."""

  def __init__(self, value, error):
    self._value, self._error = value, error

  def random_map(self, record, rng):
    if record["value"] == self._value:
      raise self._error
    return {"value": record["value"]}


class KeepValue(grain.transforms.Map):
  """The value only."""

  def map(self, record):
    return {"value": record["value"]}


def train(length=10, transform=None, batch_size=4, seed=3, **kwargs):
  return pipeline.train_loader(
    Numbers(length), transform or AddNoise(), batch_size=batch_size, seed=seed, **kwargs
  )


def take(loader, n):
  with loader:
    return [next(loader) for _ in range(n)]


def joined(batches):
  return {key: np.concatenate([b[key] for b in batches]) for key in batches[0]}


def test_a_batch_is_a_dictionary_of_stacked_arrays():
  (batch,) = take(train(), 1)
  assert {k: (v.shape, v.dtype) for k, v in batch.items()} == {
    "value": ((4,), np.int64),
    "noise": ((4,), np.int64),
  }


@property_test
@given(st.integers(1, 13), st.integers(1, 9), st.integers(0, 2**32 + 5))
def test_every_example_once_in_every_epoch(length, batch_size, seed):
  loader = train(length, batch_size=batch_size, seed=seed, threads=0)
  values = joined(take(loader, -(-3 * length // batch_size)))["value"]
  for epoch in range(3):
    np.testing.assert_array_equal(
      np.sort(values[epoch * length : (epoch + 1) * length]), range(length)
    )


def test_every_epoch_has_its_own_order_and_noise():
  data = joined(take(train(length=50, batch_size=50), 4))
  orders = data["value"].reshape(4, 50)
  assert len({tuple(order) for order in orders}) == 4
  assert not any((order == np.arange(50)).all() for order in orders)
  assert len(set(data["noise"])) == 200


def test_the_seed_decides_order_and_noise():
  first, again, other = (take(train(50, seed=seed), 5) for seed in (3, 3, 4))
  np.testing.assert_equal(first, again)
  assert not np.array_equal(joined(first)["value"], joined(other)["value"])
  assert not set(joined(first)["noise"]) & set(joined(other)["noise"])


def test_the_order_of_a_seed_never_changes():
  # A change of this breaks the exact continuation of runs made before it.
  values = joined(take(train(length=10, batch_size=5, seed=0), 4))["value"]
  np.testing.assert_array_equal(values[:10], ORDER_OF_SEED_0[0])
  np.testing.assert_array_equal(values[10:], ORDER_OF_SEED_0[1])


def test_examples_depend_on_the_seed_and_their_position_not_on_the_batch_size():
  expected = joined(take(train(batch_size=1), 24))
  for batch_size in (2, 3, 8, 24):
    np.testing.assert_equal(joined(take(train(batch_size=batch_size), 24 // batch_size)), expected)


@pytest.mark.parametrize("process_count", [2, 4])
def test_the_global_batch_is_the_same_for_any_number_of_processes(process_count):
  expected = take(train(batch_size=8), 7)
  shares = [
    take(train(batch_size=8, process_index=i, process_count=process_count), 7)
    for i in range(process_count)
  ]
  assert {len(b["value"]) for share in shares for b in share} == {8 // process_count}
  np.testing.assert_equal([joined(share) for share in zip(*shares, strict=True)], expected)


@pytest.mark.parametrize("start", [1, 2, 3, 5, 1000003])
def test_resuming_is_the_exact_continuation(start):
  if start < 10:
    loader = train()
    before = [next(loader) for _ in range(start)]
    assert len(before) == start
    expected = [next(loader) for _ in range(6)]
    loader.close()
  else:
    expected = take(train(batch_size=4, start=start - 2), 8)[2:]
  np.testing.assert_equal(take(train(start=start), 6), expected)


def test_resuming_with_other_processes_threads_and_batches_ready():
  expected = take(train(batch_size=8), 9)
  with train(batch_size=8, process_index=1, process_count=4, prefetch=7) as loader:
    for _ in range(4):
      next(loader)
    start = json.loads(json.dumps(loader.state()))["next_batch"]
  resumed = [
    take(
      train(batch_size=8, start=start, process_index=i, process_count=2, threads=3 * i, prefetch=i),
      5,
    )
    for i in range(2)
  ]
  np.testing.assert_equal([joined(s) for s in zip(*resumed, strict=True)], expected[4:])


def test_the_state_counts_batches_handed_out_not_those_prefetched():
  with train(prefetch=8, start=5) as loader:
    assert loader.state() == {"next_batch": 5}
    next(loader)
    time.sleep(0.1)
    assert loader.state() == {"next_batch": 6}


@pytest.mark.parametrize("threads", [0, 1, 4])
@pytest.mark.parametrize("prefetch", [0, 1, 5])
def test_threads_change_nothing(threads, prefetch):
  expected = take(train(threads=0, prefetch=0), 9)
  np.testing.assert_equal(take(train(threads=threads, prefetch=prefetch), 9), expected)


def test_worker_processes_change_nothing_and_end_with_the_loader():
  expected = take(train(), 9)
  with train(workers=2) as loader:
    before = [next(loader) for _ in range(4)]
    assert len(multiprocessing.active_children()) == 2
    state = loader.state()
  assert not multiprocessing.active_children()
  assert state == {"next_batch": 4}
  assert {type(array) for batch in before for array in batch.values()} == {np.ndarray}
  after = take(train(start=state["next_batch"]), 5)
  np.testing.assert_equal(before + after, expected)


def test_closing_is_prompt_and_may_be_repeated():
  class Slow(grain.transforms.RandomMap):
    def random_map(self, record, rng):
      time.sleep(0.02)
      return {"value": record["value"]}

  loader = train(transform=Slow(), prefetch=200)  # 16 s of work
  next(loader)
  loader.close()
  loader.close()
  with pytest.raises(ValueError, match="the loader is closed"):
    next(loader)
  deadline = time.monotonic() + 4
  while any("grain-prefetch" in thread.name for thread in threading.enumerate()):
    assert time.monotonic() < deadline
    time.sleep(0.02)


def test_a_source_smaller_than_a_batch_is_repeated():
  (batch,) = take(train(length=2, batch_size=6), 1)
  np.testing.assert_array_equal(np.sort(batch["value"]), [0, 0, 0, 1, 1, 1])
  np.testing.assert_array_equal(joined(take(train(length=1), 2))["value"], [0] * 8)


@pytest.mark.parametrize(
  ("workers", "error", "kind", "message"),
  [
    (0, ValueError("number_7: corrupt"), ValueError, r"^number_7: corrupt"),
    (0, KeyError("label"), RuntimeError, r"^number_7: KeyError: 'label'"),
    (1, ValueError("number_7: corrupt"), ValueError, r"^number_7: corrupt"),
  ],
)
def test_a_failing_record_is_named(workers, error, kind, message):
  with pytest.raises(kind, match=message):
    take(train(transform=FailAt(7, error), workers=workers), 3)
  assert not multiprocessing.active_children()


def test_damaged_bytes_are_named():
  class Damaged(Numbers):
    def __getitem__(self, index):
      ok, image = images.encode_png(np.zeros((8, 8), np.uint8)), np.zeros((8, 8, 3), np.uint8)
      label = ok[:30] if index == 3 else ok
      return {"image": image, "label": label, "name": f"street/{index}.png"}

  transform = SegmentationTrainTransform((8, 8), 8)
  with (
    pipeline.train_loader(Damaged(5), transform, batch_size=5, seed=0) as loader,
    pytest.raises(ValueError, match=r"street/3\.png"),
  ):
    next(loader)


def test_an_unreadable_record_has_its_position_in_the_message():
  class Unreadable(Numbers):
    def __getitem__(self, index):
      raise OSError("disk on fire")

  with (
    pipeline.train_loader(Unreadable(1), AddNoise(), batch_size=1, seed=0) as loader,
    pytest.raises(ValueError, match="cannot read record 0 of 1: OSError: disk on fire"),
  ):
    next(loader)


@pytest.mark.parametrize(
  ("kwargs", "message"),
  [
    ({"length": 0}, "the source is empty"),
    ({"batch_size": 0}, "batch_size is 0, expected a positive multiple"),
    ({"batch_size": 6, "process_count": 4}, "batch_size is 6, .* multiple of the 4 .* e.g. 8"),
    ({"process_count": 2, "process_index": 2}, r"process_index is 2, expected 0 .. 1"),
    ({"seed": -1}, "seed is -1"),
    ({"start": -1}, "start is -1"),
    ({"workers": -1}, "workers, threads, prefetch are -1, 2, 2"),
  ],
)
def test_wrong_settings_say_which_and_what_was_expected(kwargs, message):
  with pytest.raises(ValueError, match=message):
    train(**kwargs)


def evaluate(length=10, batch_size=4, transform=None, **kwargs):
  source, transform = Numbers(length), transform or KeepValue()
  return pipeline.eval_loader(source, transform, batch_size=batch_size, **kwargs)


def test_evaluation_by_hand():
  loader = evaluate(length=6, batch_size=4)
  assert loader.num_batches == 2
  first, last = loader
  names = [str(x) for x in (*first.pop("name"), *last.pop("name"))]
  assert names == [Numbers(6)[i]["name"] for i in (0, 1, 2, 3, 4, 5, 5, 5)]
  np.testing.assert_equal(first, {"value": [0, 1, 2, 3], "mask": [True] * 4, "index": [0, 1, 2, 3]})
  np.testing.assert_equal(
    last, {"value": [4, 5, 5, 5], "mask": [True, True, False, False], "index": [4, 5, -1, -1]}
  )
  assert (last["mask"].dtype, last["index"].dtype) == (np.bool_, np.int32)


@property_test
@given(st.integers(1, 20), st.integers(1, 3), st.sampled_from([1, 2, 4]))
def test_evaluation_sees_every_example_once_over_all_processes(length, local, process_count):
  shares = [
    list(
      evaluate(
        length,
        local * process_count,
        process_index=i,
        process_count=process_count,
        threads=0,
      )
    )
    for i in range(process_count)
  ]
  # As many batches everywhere, or the processes would wait for each other for ever.
  assert {len(share) for share in shares} == {-(-length // (local * process_count))}
  assert {len(b["mask"]) for share in shares for b in share} == {local}
  together = joined([joined(batches) for batches in zip(*shares, strict=True)])
  mask = together["mask"]
  np.testing.assert_array_equal(together["value"][mask], range(length))
  np.testing.assert_array_equal(together["index"][mask], range(length))
  assert (together["index"][~mask] == -1).all()


def test_evaluation_with_worker_processes():
  with evaluate(workers=2) as loader:
    np.testing.assert_equal(list(loader), list(evaluate()))
  assert not multiprocessing.active_children()


def test_evaluation_names_a_failing_record():
  def fail(record):
    raise ZeroDivisionError("no")

  with (
    evaluate(transform=fail) as loader,
    pytest.raises(RuntimeError, match="number_0: ZeroDivisionError: no"),
  ):
    next(loader)


def test_examples_of_several_shapes_do_not_form_a_batch():
  def grow(record):
    return {"image": np.zeros((record["value"] + 1, 2))}

  with (
    evaluate(batch_size=2, transform=grow) as loader,
    pytest.raises(ValueError, match=r"'image' of several shapes: \[\(1, 2\), \(2, 2\)\]"),
  ):
    next(loader)
  with evaluate(batch_size=1, transform=grow) as loader:
    assert [batch["image"].shape for batch in loader] == [(1, n, 2) for n in range(1, 11)]


SCRIPT = """
from absl import flags
from hrnet_jax.data import pipeline

def transform(record, rng):
  return {"value": record["value"], "noise": rng.integers(2**40)}

class Numbers:
  def __len__(self):
    return 10
  def __getitem__(self, index):
    return {"value": index, "name": str(index)}

if __name__ == "__main__":
  batches = []
  for workers in (0, 2):
    with pipeline.train_loader(Numbers(), transform, batch_size=4, seed=3, workers=workers) as data:
      batches.append([next(data) for _ in range(3)])
  assert not flags.FLAGS.is_parsed()
  assert [b["noise"].tolist() for b in batches[0]] == [b["noise"].tolist() for b in batches[1]]
  print(batches[0][0]["value"].tolist())
"""


def test_a_script_that_parses_no_flags_can_use_workers(tmp_path):
  script = tmp_path / "script.py"
  script.write_text(textwrap.dedent(SCRIPT))
  root = pipeline.__file__.split("/hrnet_jax/")[0]
  done = subprocess.run(
    [sys.executable, str(script)],
    env={"PYTHONPATH": root, "JAX_PLATFORMS": "cpu"},
    capture_output=True,
    text=True,
    timeout=120,
    check=False,
  )
  assert (done.returncode, done.stderr) == (0, "")
  assert done.stdout.strip() == str(take(train(), 1)[0]["value"].tolist())
