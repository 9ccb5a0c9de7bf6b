"""Sums of the operations of a step."""

import json
import pathlib

import pytest

from benchmarks import kinds
from benchmarks.kinds import Product, Spent

PRODUCT = Product(kernel=3, stride=2, inputs=4, outputs=8, positions=100)


def test_a_convolution_says_what_it_is_and_what_it_costs() -> None:
  assert str(PRODUCT) == "3x3/2, 4 -> 8, 100 positions"
  assert str(Product(1, 1, 4, 8, 100)) == "1x1, 4 -> 8, 100 positions"
  assert PRODUCT.flops == 2 * 9 * 4 * 8 * 100


def test_the_kinds_of_a_step_add_up_to_its_time() -> None:
  spent = [
    Spent(0.25, kinds.FORWARD, PRODUCT),
    Spent(0.25, kinds.FORWARD, PRODUCT),
    Spent(0.5, kinds.BACKWARD, PRODUCT, backward=True),
    Spent(0.125, kinds.COPIES, PRODUCT, backward=True),
    Spent(0.75, kinds.NORM, name="norm", family="add"),
    Spent(0.25, kinds.NORM, name="relu", family="add"),
  ]
  made = kinds.profile(3.0, spent, cpu_seconds=5.0)
  assert sum(made["kinds"].values()) == 3.0
  assert made["kinds"][kinds.BETWEEN] == 0.875
  assert made["kinds"][kinds.FORWARD] == 0.5
  entry = {"flops": PRODUCT.flops, "calls": 2, "forward": 0.5, "backward": 0.625}
  assert made["products"] == {str(PRODUCT): entry}
  assert made["longest"][0] == ["norm", kinds.NORM, 0.75]
  assert made["families"][kinds.NORM] == {"add": 1.0}
  assert made["cpu_seconds"] == 5.0


def test_the_fastest_step_is_kept(tmp_path: pathlib.Path) -> None:
  path = tmp_path / "profile.json"
  for seconds in (3.0, 2.0, 4.0):
    kinds.keep_fastest(path, kinds.profile(seconds, [], cpu_seconds=1.0))
  assert json.loads(path.read_text())["seconds"] == pytest.approx(2.0)
