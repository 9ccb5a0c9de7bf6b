"""Figures of landmark errors, by hand."""

import dataclasses

import numpy as np
import pytest

from hrnet_jax.tasks.landmarks.scores import Scoreboard, Split, in_words

BOARD = Scoreboard(
  split=Split("test", 6, {"odd": (1, 3, 5), "last": (4, 5)}),
  normalizers=("span", "height", "box_size", "box_diagonal"),
  threshold=0.1,
)
TOTALS = {
  "errors": {
    "span": np.array([0.02, 0.04, 0.06, 0.1, 0.12, 0.5]),
    "height": np.array([0.01, 0.02, 0.03, 0.05, 0.06, 0.25]),
    "box_size": np.full(6, 0.03),
    "box_diagonal": np.array([np.inf, 1, 1, 1, 1, 1]),
  },
  "seen": np.ones(6, np.int64),
  "loss": np.array(0.6),
}


def test_report_by_hand() -> None:
  report = BOARD.report(TOTALS)
  assert report["nme"] == pytest.approx(0.14)
  assert report["negative_nme"] == -report["nme"]
  assert report["failure_rate"] == pytest.approx(2 / 6)  # 0.1 is none
  assert report["auc"] == pytest.approx((0.8 + 0.6 + 0.4) / 6)
  assert (report["threshold"], report["images"]) == (0.1, 6)
  assert report["loss"] == pytest.approx(0.1)
  assert list(report["nme_by_normalizer"]) == ["span", "height", "box_size"]  # not the infinite
  assert report["nme_by_normalizer"]["height"] == pytest.approx(0.07)
  assert report["nme_by_part"] == pytest.approx({"test": 0.14, "odd": 0.64 / 3, "last": 0.31})
  assert report["failure_rate_by_part"]["last"] == 1
  assert report["auc_by_part"]["odd"] == pytest.approx(0.2)
  assert report["images_by_part"] == {"test": 6, "odd": 3, "last": 2}


def test_table_names_the_normalizer_and_every_part() -> None:
  lines = BOARD.table(BOARD.report(TOTALS)).splitlines()
  rows = [line.split() for line in lines]
  assert rows[1] == ["test", "14.00", "33.33", "30.00", "6"]
  assert rows[3] == ["last", "31.00", "100.00", "0.00", "2"]
  assert "errors divided by span; failures above 10 %" in lines[5]
  assert rows[6][:2] == ["span", "14.00"]
  assert rows[7][:2] == ["height", "7.00"]


def test_only_examples_that_were_seen_count() -> None:
  seen = np.array([1, 1, 1, 0, 0, 0])
  errors = {name: x * seen for name, x in TOTALS["errors"].items() if name != "box_diagonal"}
  board = dataclasses.replace(BOARD, normalizers=tuple(errors))
  report = board.report({"errors": errors, "seen": seen, "loss": np.array(0.3)})
  assert report["nme"] == pytest.approx(0.04)
  assert report["images_by_part"] == {"test": 3, "odd": 1}
  assert report["loss"] == pytest.approx(0.1)


def test_a_split_without_parts_has_no_figures_by_part() -> None:
  report = dataclasses.replace(BOARD, split=Split("val", 6)).report(TOTALS)
  assert not any(key.endswith("_by_part") for key in report)
  assert report["nme"] == pytest.approx(0.14)


def test_chart_has_a_curve_for_each_part() -> None:
  chart = BOARD.chart(TOTALS)
  single = dataclasses.replace(BOARD, split=Split("test", 6)).chart(TOTALS)
  assert chart.dtype == np.uint8
  assert (chart != single).any()


def test_normalizers_in_words() -> None:
  assert in_words("inter_ocular") == "the inter-ocular distance"
  assert in_words("box_size") == "the box's side"
