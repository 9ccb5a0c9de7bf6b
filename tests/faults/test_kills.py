"""Runs that are killed end with the same bits, and leave nobody and nothing behind."""

import pathlib

import pytest

from tests.faults import kills

pytestmark = pytest.mark.slow


def test_nothing_is_lost_and_nobody_is_left(data: pathlib.Path, tmp_path: pathlib.Path) -> None:
  outcome = kills.run(2, 1, data, tmp_path)
  assert outcome.kills == 2, outcome
  assert outcome.failures == []
  assert (outcome.orphans, outcome.shared_memory) == (0, 0), outcome
