"""The table of a made-up profile, PyTorch's profile of a small step, and a toy on both sides."""

import dataclasses

import pytest

from benchmarks import cases
from tests.benchmarks.test_networks import DEPTH
from tests.helpers import environment
from tools import op_kinds, profile_step


def test_kinds_stand_by_what_they_hold_back() -> None:
  nothing = dict.fromkeys(op_kinds.OP_KINDS, 0.0)
  ours = nothing | {op_kinds.FORWARD: 0.025, op_kinds.NORM: 0.01, op_kinds.BETWEEN: 0.065}
  theirs = nothing | {op_kinds.FORWARD: 0.01, op_kinds.NORM: 0.03, op_kinds.BETWEEN: 0.06}
  assert profile_step.compare({profile_step.JAX: ours, profile_step.TORCH: theirs}) == [
    (op_kinds.FORWARD, "25.0", "10.0", "+15.0"),
    (op_kinds.BETWEEN, "65.0", "60.0", "+5.0"),
    (op_kinds.NORM, "10.0", "30.0", "-20.0"),
    ("all", "100.0", "100.0", "+0.0"),
  ]


@pytest.mark.parametrize(
  ("flag", "known"),
  [("--models=w19", "w18_small_v1, w18"), ("--modes=eval", "inference, training")],
)
def test_unknown_names_are_refused_with_those_there_are(
  flag: str, known: str, capsys: pytest.CaptureFixture[str]
) -> None:
  with pytest.raises(SystemExit):
    profile_step.main([flag])
  name, _, value = flag.partition("=")
  assert f"error: {name} has {value!r}; known: {known}" in capsys.readouterr().err


@pytest.mark.parametrize(
  ("chain", "kind"),
  [
    (["aten::add_", "Optimizer.step#SGD.step"], op_kinds.OPTIMIZER),
    (["aten::add_"], op_kinds.NORM),
    (["aten::copy_", "aten::contiguous", "aten::convolution_backward"], op_kinds.COPIES),
    (["aten::fill_", "aten::zero_", "aten::upsample_bilinear2d_backward"], op_kinds.RESIZE),
    (["aten::copy_", "aten::to"], op_kinds.OTHER),
  ],
)
def test_what_an_operation_calls_counts_for_it(chain: list[str], kind: str) -> None:
  assert profile_step.kind_of(chain) == kind


@pytest.mark.torch
def test_a_step_of_pytorch_is_divided_among_its_kinds() -> None:
  torch = pytest.importorskip("torch")
  from torch.profiler import ProfilerActivity, profile

  network = torch.nn.Sequential(
    torch.nn.Conv2d(3, 8, 3, stride=2, padding=1),
    torch.nn.BatchNorm2d(8),
    torch.nn.ReLU(inplace=True),
    torch.nn.Upsample(scale_factor=2, mode="bilinear"),
  )
  images, labels = torch.zeros(2, 3, 15, 16), torch.zeros(2, 16, 16, dtype=torch.long)
  optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9)

  def step() -> None:
    torch.nn.functional.cross_entropy(network(images), labels).backward()
    optimizer.step()

  step()
  with profile(activities=[ProfilerActivity.CPU]) as trace:
    step()
  found = list(profile_step.read_events(trace.events()))
  kinds = [kind for kind, _ in found]
  assert set(op_kinds.OP_KINDS[:2] + op_kinds.OP_KINDS[3:7]) <= {k for k, s in found if s > 0}
  assert kinds.count(op_kinds.FORWARD) == 1
  assert kinds.count(op_kinds.BACKWARD) == 1


@pytest.mark.torch
@pytest.mark.slow
def test_both_sides_of_a_toy_are_profiled(monkeypatch: pytest.MonkeyPatch) -> None:
  pytest.importorskip("torch")
  monkeypatch.setenv("XLA_FLAGS", environment.xla_flags(*environment.QUICK))
  toy = dataclasses.replace(cases.CASES["w18_face68"], size=(2, 128, 128)).config()
  del toy.model["variant"]
  toy.model.update(DEPTH)
  result = profile_step.profile(toy, "training", rounds=2, threads=1)
  for x in (result[profile_step.JAX], result[profile_step.TORCH]):
    assert x[op_kinds.OTHER] < 0.1 * sum(x.values())
    assert min(x[op_kinds.FORWARD], x[op_kinds.BACKWARD], x[op_kinds.NORM]) > 0
