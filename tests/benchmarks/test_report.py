"""Tables of a small result, and the page of the documentation that holds them."""

import pathlib
from typing import Any

import pytest

from benchmarks import networks, report

PAGE = pathlib.Path(__file__).parents[2] / "docs/benchmark.md"


@pytest.fixture
def result() -> dict[str, Any]:
  """A comparison without `torch.compile`, and one loader."""
  rate = {"median": 300.0, "low": 290.0, "high": 310.0}
  comparison = {
    "model": "w18",
    "case": "segmentation 1x512x1024",
    "mode": "training",
    "contenders": {
      networks.JAX: contender(2.0, 3000, 0.0),
      "PyTorch, NCHW": contender(4.0, 5000, 2e-6),
      "PyTorch, channels last": contender(2.5, 4000, 1e-6),
    },
    "best_eager": {"contender": "PyTorch, channels last", "multiple": 0.8, "low": 0.7, "high": 0.9},
    "best": {"contender": "PyTorch, channels last", "multiple": 0.8, "low": 0.7, "high": 0.9},
    "left_out": {"PyTorch, channels last, compiled": "a trace\ntoo slow"},
  }
  loading = {
    "images_per_second": {"hrnet_jax": rate, "PyTorch DataLoader": rate},
    "jax_is_faster_by": {"median": 1.25, "low": 1.2, "high": 1.3},
  }
  return {
    "machine": {"threads": 2},
    "left_out": {"training": "the data set camvid is not prepared"},
    "networks": [comparison],
    "loading": {"2": loading},
  }


def contender(seconds: float, mib: int, difference: float) -> dict[str, Any]:
  return {
    "seconds": {"median": seconds, "low": seconds - 0.5, "high": seconds + 0.5},
    "first_start": {"first_call_seconds": 60.0, "peak_mib": mib + 1000},
    "second_start": {"first_call_seconds": 3.0, "peak_mib": mib},
    "difference": difference,
  }


def cells(line: str) -> list[str]:
  return [cell.strip() for cell in line.strip("|").split("|")]


def test_a_line_for_each_network_and_for_each_contender(result: dict[str, Any]) -> None:
  made = report.tables(result)
  *_, line = made["networks"].splitlines()
  ratio = "0.80 (0.70 to 0.90)"
  times = ["2.000", "2.500", "-"]
  assert cells(line)[2:] == ["training", *times, ratio, ratio, "0.75"]
  lines = made["contenders"].splitlines()
  assert [cells(x)[2] for x in lines[2:5]] == list(result["networks"][0]["contenders"])
  starts = ["60.0", "6000", "3.0", "5000"]
  assert cells(lines[3])[3:] == ["4.000 (3.500 to 4.500)", *starts, "2.0e-06"]
  assert lines[-1].endswith("compiled was left out: too slow")


def test_what_was_not_measured_says_why(result: dict[str, Any]) -> None:
  made = report.tables(result)
  assert made["training"] == "Not measured: the data set camvid is not prepared"
  assert made["prepare"] == "Not measured: not asked for"
  assert "1.25 (1.20 to 1.30)" in made["loading"]


def test_the_page_takes_all_tables_and_new_ones_replace_old(result: dict[str, Any]) -> None:
  made = report.tables(result)
  page = report.fill(PAGE.read_text(), made)
  assert all(table in page for table in made.values())
  assert report.fill(page, made) == page
  changed = report.fill(page, made | {"training": "another"})
  assert made["training"] not in changed
  assert changed.count("another") == page.count("another") + 1


def test_a_page_without_a_place_is_refused(result: dict[str, Any]) -> None:
  with pytest.raises(ValueError, match="has no <!-- table"):
    report.fill("text", report.tables(result))
  with pytest.raises(ValueError, match="asks for 'speed'; tables are machine, networks"):
    report.fill("<!-- table: speed -->\n<!-- end -->", report.tables(result))
