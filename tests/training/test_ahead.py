"""Batches read ahead: how many, where the position is, and when an error comes."""

import numpy as np
import pytest

from hrnet_jax.data import pipeline
from hrnet_jax.errors import UserError
from hrnet_jax.training import ahead
from hrnet_jax.training.ahead import Ahead


class Records:
  """Twelve numbers, of which one cannot be read."""

  def __init__(self, bad: int = -1):
    self._bad = bad

  def __len__(self):
    return 12

  def __getitem__(self, index):
    if index == self._bad:
      raise UserError("record 7 is damaged")
    return {"name": str(index), "value": np.int32(index)}


def loader(bad: int = -1) -> pipeline.Loader:
  return pipeline.eval_loader(Records(bad), lambda record: record, batch_size=2, threads=0)


@pytest.fixture
def many(monkeypatch):
  """Behaves as with other processes, which find nothing wrong."""
  monkeypatch.setattr(ahead.jax, "process_count", lambda: 2)
  monkeypatch.setattr(ahead.collectives, "barrier", lambda name: None)


def test_a_process_that_is_alone_reads_when_it_has_to():
  with loader() as batches:
    reading = Ahead(batches, 5)
    reading.look()
    assert batches.state() == {"next_batch": 0}
    assert [next(reading)["value"].tolist() for _ in range(2)] == [[0, 1], [2, 3]]
    assert reading.state() == batches.state() == {"next_batch": 2}


def test_among_many_three_are_ready_and_do_not_count(many):
  with loader() as batches:
    reading = Ahead(batches, 5)
    assert next(reading)["value"].tolist() == [0, 1]
    reading.look()
    assert batches.state() == {"next_batch": 4}
    assert reading.state() == {"next_batch": 1}
    assert [next(reading)["value"][0] for _ in range(4)] == [2, 4, 6, 8]
    reading.look()
    assert batches.state() == {"next_batch": 5}  # nobody will ask for more
    with pytest.raises(StopIteration):
      next(reading)


def test_an_error_is_known_three_batches_before_it(many):
  with loader(bad=8) as batches:
    reading = Ahead(batches, 6)
    found = []
    for _ in range(4):
      next(reading)
      reading.look()
      found.append(reading.error is not None)
    assert found == [False, True, True, True]
    assert reading.state() == {"next_batch": 4}
    with pytest.raises(UserError, match="record 7 is damaged"):
      next(reading)
    with pytest.raises(UserError, match="record 7 is damaged"):
      reading.raise_in_all()


def test_the_other_processes_are_told(many, monkeypatch):
  monkeypatch.setattr(ahead.board, "look", lambda key: "record 7 is damaged")
  with loader() as batches, pytest.raises(UserError, match=r"another process .* record 7 is dam"):
    Ahead(batches, 6).raise_in_all()


def test_alone_the_error_comes_with_its_batch():
  with loader(bad=3) as batches:
    reading = Ahead(batches, 6)
    next(reading)
    with pytest.raises(UserError, match="record 7 is damaged"):
      next(reading)
    assert reading.state() == {"next_batch": 1}
