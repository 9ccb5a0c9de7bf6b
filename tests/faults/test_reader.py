"""A data set is replaced while it is read: no reader sees records of both."""

import pathlib
import threading
from typing import Any

import pytest

from hrnet_jax.data import prepared
from hrnet_jax.errors import UserError
from tests.faults import of_data

ROUNDS = 20
_SPLITS = ("train", "val")


def records(dataset: prepared.Dataset) -> list[Any]:
  """All of them, one at a time, each from a file of its own."""
  found: list[Any] = [dataset.class_names, dataset.fingerprint]
  for split in _SPLITS:
    found += [sorted(x.items()) for x in dataset.source(split)]
  return found


def test_a_reader_that_has_begun_ends_with_what_it_began(tmp_path: pathlib.Path) -> None:
  """It has opened the set and one of its files; the others are opened after the replacement."""
  of_data.prepare(tmp_path, 1)
  dataset = prepared.open_dataset(of_data.NAME, tmp_path)
  train = dataset.source("train")
  found = [sorted(train[0].items())]
  of_data.prepare(tmp_path, 2)
  found += [sorted(train[index].items()) for index in range(1, len(train))]
  found += [sorted(x.items()) for x in dataset.source("val")]
  assert found == of_data.expected(1)[2:]
  assert of_data.records(tmp_path) == of_data.expected(2)


@pytest.mark.slow
def test_readers_and_a_replacer_at_once(tmp_path: pathlib.Path) -> None:
  of_data.prepare(tmp_path, 1)
  expected, ended = [of_data.expected(x) for x in (1, 2)], threading.Event()
  seen: list[Any] = []
  errors: list[str] = []

  def read() -> None:
    while not ended.is_set():
      try:
        seen.append(records(prepared.open_dataset(of_data.NAME, tmp_path)))
      except (OSError, UserError) as error:
        errors.append(str(error))

  readers = [threading.Thread(target=read) for _ in range(2)]
  for thread in readers:
    thread.start()
  try:
    for number in range(ROUNDS):
      of_data.prepare(tmp_path, 2 - number % 2)
  finally:
    ended.set()
    for thread in readers:
      thread.join()
  assert errors == []
  assert all(x in expected for x in seen)
  assert all(x in seen for x in expected)
