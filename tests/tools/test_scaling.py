"""Scaling table of a toy on simulated devices, and a table of pre-flight's reports."""

import json
import pathlib
import sys

import pytest

import hrnet_jax
from hrnet_jax.preflight import program
from tools import preflight_table, scaling


def compiled(flops: int, **memory: int) -> program.CompiledStep:
  sizes = {"parameters": 0, "temporaries": 0, "program": 0} | memory
  return program.CompiledStep(3.0, sizes, flops, 2 * flops, [], 0)


def test_all_devices_stand_along_one_axis() -> None:
  assert list(scaling.meshes([1, 2, 4])) == [(1, 1), (2, 1), (4, 1), (1, 2), (1, 4)]


def test_cells_are_shares_of_one_device() -> None:
  one, two = compiled(4 * 10**9, temporaries=2**21), compiled(10**9, temporaries=2**20)
  cells = scaling.cells((2, 1), two, one)
  assert cells[:2] == ("2 x 1", "1.0 (25.0 %)")
  assert cells[3:] == ("1.0 (50.0 %)", "0.0")


def test_a_report_of_preflight_is_a_row() -> None:
  memory = {"parameters": 2**30, "batch": 2**30, "temporaries": 3 * 2**30, "program": 2**29}
  report = {
    "topology": "v5e:2x2",
    "batch_size": 12,
    "memory": memory,
    "verdict": {"fits": True, "needed": sum(memory.values())},
  }
  none = ["-"] * 4
  refused = preflight_table.cells("W48", report | {"verdict": {"fits": False, "needed": 2**34}})
  assert refused == ["W48", "v5e:2x2", "12", *none, "16.00, does not fit", *none]
  measured = {
    "compile_seconds": 61.7,
    "flops": 3_484 * 10**9,
    "traffic": 161_900_000_000,
    "collectives": [{"sent": 396_000_000}],
    "seconds_at_least": {"arithmetic": 0.1, "memory": 0.1977},
  }
  row = preflight_table.cells("W48", report | measured)
  assert row[3:8] == ["62", "2.00", "3.00", "0.50", "5.50"]
  assert row[8:] == ["3,484", "161.9", "396", "197.7 (memory)"]


@pytest.mark.parametrize(
  ("content", "missing", "written"),
  [
    ({"topology": "v5e:2x2"}, "KeyError('memory')", "0.2.0 or before"),
    ({"hrnet_jax": "9.1", "memory": {}, "verdict": 3}, "KeyError('topology')", "9.1"),
    (["a"], "TypeError", "nobody"),
  ],
)
def test_a_report_of_another_version_is_named(
  content: object,
  missing: str,
  written: str,
  tmp_path: pathlib.Path,
  monkeypatch: pytest.MonkeyPatch,
) -> None:
  path = tmp_path / "W48.json"
  path.write_text(json.dumps(content))
  monkeypatch.setattr(sys, "argv", ["preflight_table", str(path)])
  with pytest.raises(SystemExit) as ended:
    preflight_table.main()
  said = str(ended.value)
  assert said.startswith(f"{path} is not a report of hrnet-jax {hrnet_jax.__version__} ({missing}")
  assert f"; it was written by {written}; run `hrnet preflight --json` again" in said
