"""A toy beside PyTorch, and the refusal of contenders that compute something else."""

import dataclasses

import numpy as np
import pytest

from benchmarks import cases, networks
from tests.helpers import environment

DEPTH = {"width": 4, "modules": (1, 1, 1), "blocks": 1, "bottlenecks": 1, "bottleneck_width": 4}
EAGER = {"PyTorch, NCHW", "PyTorch, channels last"}


@pytest.mark.torch
@pytest.mark.slow
@pytest.mark.parametrize(("mode", "dataset"), [("inference", "cityscapes"), ("training", "face68")])
def test_contenders_agree_and_are_timed(
  mode: str, dataset: str, monkeypatch: pytest.MonkeyPatch
) -> None:
  pytest.importorskip("torch")
  monkeypatch.setenv("XLA_FLAGS", environment.xla_flags(*environment.QUICK))
  case = next(case for case in cases.CASES.values() if case.dataset == dataset)
  toy = dataclasses.replace(case, size=(2, 64, 64)).config()
  del toy.model["variant"]
  toy.model.update(DEPTH)
  result = networks.compare("toy", toy, mode, rounds=2, threads=1, compiled=False)
  ours = {name for name in networks.MODES[mode] if name.startswith(networks.JAX)}
  figures = result["contenders"]
  assert set(figures) == ours | EAGER
  assert result["left_out"] == {"PyTorch, channels last, compiled": "not asked for"}
  for x in figures.values():
    assert len(x["each"]) == 2
    assert 0 < x["seconds"]["low"] <= x["seconds"]["median"] <= x["seconds"]["high"]
    for start in (x["first_start"], x["second_start"]):
      assert start["first_call_seconds"] > 0
      assert start["peak_mib"] > 50
    assert x["difference"] <= networks.TOLERANCE
  first, second = (figures[networks.JAX][key] for key in ("first_start", "second_start"))
  assert first["programs_compiled"] > 0
  assert second["programs_compiled"] == 0  # it read what the first has left
  best = result["best_eager"]
  medians = {name: figures[name]["seconds"]["median"] for name in figures}
  assert best["contender"] == min(EAGER, key=medians.get)
  assert best["multiple"] == pytest.approx(medians[networks.JAX] / medians[best["contender"]])


def test_other_outputs_are_refused() -> None:
  ours = np.random.default_rng(0).normal(size=(2, 8, 8, 3)).astype(np.float32)
  moved = ours.copy()
  moved[0, 0, 0, 0] += 5e-5 * ours.std()
  assert networks.same_outputs("x", moved, ours) == pytest.approx(5e-5, rel=0.1)
  moved[0, 0, 0, 0] += 1e-3
  with pytest.raises(ValueError, match="x and hrnet_jax do not compute the same: their outputs"):
    networks.same_outputs("x", moved, ours)
  with pytest.raises(ValueError, match="nan"):
    networks.same_outputs("x", np.full_like(ours, np.nan), ours)


def test_other_losses_are_refused() -> None:
  ours = {"losses": [2.0, 1.5, 1.0]}
  near = {"losses": [2.00002, 1.5, 1.0005]}
  assert networks.same_losses("x", near, ours) == pytest.approx(1e-5)
  with pytest.raises(ValueError, match=r"their first losses differ by 0.01"):
    networks.same_losses("x", {"losses": [2.02, 1.5, 1.0]}, ours)
  with pytest.raises(ValueError, match=r"their losses after updates differ by 0.01"):
    networks.same_losses("x", {"losses": [2.0, 1.5, 1.01]}, ours)
