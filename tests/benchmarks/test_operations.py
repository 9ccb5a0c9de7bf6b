"""Tables of made-up profiles, refusals, and a toy whose two sides are profiled in earnest."""

import pathlib
import subprocess
import sys
from typing import Any

import pytest

from benchmarks import cases, kinds, operations
from benchmarks.kinds import Product, Spent
from tests.benchmarks.test_networks import DEPTH
from tests.benchmarks.test_report import cells
from tests.helpers import environment

PRODUCT = Product(kernel=3, stride=1, inputs=10, outputs=10, positions=1000)
ROOT = pathlib.Path(__file__).parents[2]


def side(forward: float, norm: float, memory: dict[str, Any]) -> dict[str, Any]:
  spent = [Spent(forward, kinds.FORWARD, PRODUCT), Spent(norm, kinds.NORM)]
  spent += [Spent(0.004, kinds.BACKWARD, PRODUCT, backward=True)]
  return kinds.profile(0.1, spent, cpu_seconds=0.15) | {"memory": memory}


@pytest.fixture
def found() -> dict[str, Any]:
  compiling = {"compiled": 300.0, "compile_peak": 400.0, "peak": 500.0}
  ours = {"imports": 100.0, "arguments": 7.0, "temporaries": 50.0, "ready": 200.0, "peak": 210.0}
  theirs = {"imports": 110.0, "ready": 120.0, "peak": 130.0}
  return {
    "w18, training": {
      operations.OURS: side(0.025, 0.01, ours | {"compiling": compiling}),
      operations.THEIRS: side(0.01, 0.03, theirs),
    }
  }


def test_kinds_stand_by_what_they_hold_back(found: dict[str, Any]) -> None:
  _, _, *lines = operations.tables(found)["kinds"].splitlines()
  rows = [cells(line)[1:] for line in lines]
  assert rows[0] == [kinds.FORWARD, "25.0", "10.0", "+15.0"]
  assert rows[1] == [kinds.BETWEEN, "61.0", "56.0", "+5.0"]
  assert rows[-3:-1] == [[kinds.NORM, "10.0", "30.0", "-20.0"], ["all", "100.0", "100.0", "+0.0"]]
  assert rows[-1] == [operations.PROCESSORS, "150.0", "150.0", "+0.0"]
  assert kinds.LOSS not in operations.tables(found)["kinds"]


def test_convolutions_have_their_speed(found: dict[str, Any]) -> None:
  """1.8 MFLOP forward in 25 ms, and twice as much in 4 ms."""
  *_, line = operations.tables(found)["convolutions"].splitlines()
  wanted = ["25.0 (0.07)", "10.0 (0.18)", "4.0 (0.90)", "4.0 (0.90)"]
  assert cells(line)[1:] == [str(PRODUCT), "1", *wanted]


def test_memory_has_what_each_side_knows(found: dict[str, Any]) -> None:
  *_, ours, theirs = operations.tables(found)["memory"].splitlines()
  assert cells(ours)[2:] == ["100", "7", "50", "200", "210", "300", "400", "500"]
  assert cells(theirs)[2:] == ["110", "-", "-", "120", "130", "-", "-", "-"]


@pytest.mark.parametrize(
  ("flag", "known"),
  [("--models=w19", "w18_small_v1, w18"), ("--modes=eval", "inference, training")],
)
def test_unknown_names_are_refused_with_those_there_are(flag: str, known: str) -> None:
  command = [sys.executable, "-m", "benchmarks.operations", flag]
  done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
  assert done.returncode == 1
  name, _, value = flag.partition("=")
  assert f"error: {name} has {value!r}; known: {known}" in done.stderr


@pytest.mark.torch
@pytest.mark.slow
def test_both_sides_of_a_toy_are_profiled(monkeypatch: pytest.MonkeyPatch) -> None:
  pytest.importorskip("torch")
  monkeypatch.setenv("XLA_FLAGS", environment.xla_flags(*environment.QUICK))
  toy = cases.Case("landmarks", DEPTH, (2, 128, 128), 5)  # XLA swaps operands of tiny maps
  result = operations.compare(toy, "training", rounds=2, threads=1)
  ours, theirs = result[operations.OURS], result[operations.THEIRS]
  assert set(ours["products"]) == set(theirs["products"])
  for x in (ours, theirs):
    assert sum(x["kinds"].values()) == pytest.approx(x["seconds"], rel=0.02)
    assert 0 < x["cpu_seconds"] < 2 * x["seconds"]
    assert x["kinds"][kinds.OTHER] < 0.1 * x["seconds"]
    assert all(entry["forward"] > 0 for entry in x["products"].values())
  calls = ({key: entry["calls"] for key, entry in x["products"].items()} for x in (ours, theirs))
  assert next(calls) == next(calls)
  held = ours["memory"]
  assert held["imports"] < held["ready"] <= held["peak"]
  assert held["compiling"]["compiled"] <= held["compiling"]["compile_peak"]
