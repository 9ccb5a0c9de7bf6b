"""Every call that fails while the package writes: the old or the new is there, and it is said."""

import pytest

from tests.faults import __main__ as faults
from tests.faults import library
from tests.faults.worker import KINDS

pytestmark = pytest.mark.skipif(bool(library.missing()), reason=library.missing())


def failures(rows: faults.Rows) -> list[str]:
  return [f"{row['operation']}: {x}" for row in rows for x in row["failures"]]


@pytest.mark.parametrize(
  ("kind", "every", "operation"),
  [
    ("checkpoints", 60, "save, one goes"),
    ("data", 60, "prepare, replacing"),
    ("results", 12, "export"),
  ],
)
def test_a_few_faults(kind: str, every: int, operation: str) -> None:
  """A sample that is spread over operations and calls; the same at every time."""
  rows = faults.run([kind], every=every)
  assert sum(row["tries"] for row in rows) > 5
  assert sum(row["tries"] for row in rows if row["operation"] == operation) > 0
  assert not failures(rows)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_many_faults(kind: str) -> None:
  """All of them, but of checkpoints a fifth; `python -m tests.faults` makes all."""
  rows = faults.run([kind], every=5 if kind == "checkpoints" else 1)
  assert {row["call"] for row in rows} >= {"write", "fsync", "rename", "killed"}
  assert all(row["points"] for row in rows)
  assert sum(row["tries"] for row in rows) > 100
  assert not failures(rows)
