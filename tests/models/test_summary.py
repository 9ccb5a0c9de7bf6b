"""Counts by hand, and the command's table."""

import flax.linen as nn
import jax
import pytest

from hrnet_jax.cli.main import main
from hrnet_jax.models import summary


class Toy(nn.Module):
  """A strided convolution, a norm-free 1x1 product and a linear layer."""

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
    del train
    x = nn.Conv(5, (3, 3), strides=2, padding=1)(x)
    return nn.Dense(7)(x)


def test_every_product_counts_once() -> None:
  parameters, macs = summary.count(Toy(), (8, 6))
  assert parameters == (3 * 3 * 3 * 5 + 5) + (5 * 7 + 7)
  assert macs == 4 * 3 * 5 * 27 + 4 * 3 * 7 * 5


def test_table_has_the_published_figures(
  capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
  monkeypatch.setattr(summary, "variants", lambda: ("w18_small_v1",))
  assert main(["models", "segmentation"]) == 0
  row = capsys.readouterr().out.splitlines()[1].split()
  assert row == ["segmentation", "w18_small_v1", "1024x2048", "1,540,819", "33.391"]


def test_a_detector_has_the_published_figures() -> None:
  found = summary.summarize("detection", "w18")
  # 80 classes have a box here; the reference's box of the background is never used.
  assert found.parameters == 27_486_776 - 4 * 1025
  # Published: 159.1 in units of 1024^3 at this size with 512 regions; tests take 1000.
  region = 7 * 7 * 256 * 1024 + 1024 * 1024 + 1024 * (81 + 4 * 80)
  assert (found.macs - 488 * region) / 1024**3 == pytest.approx(159.25, abs=0.01)


def test_unknown_task_names_the_known_ones(capsys: pytest.CaptureFixture) -> None:
  with pytest.raises(SystemExit, match="2"):
    main(["models", "segmentaton"])
  assert "segmentation" in capsys.readouterr().err
