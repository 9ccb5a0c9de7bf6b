"""PyTorch's profile of a small step."""

import pytest

from benchmarks import kinds
from benchmarks.kinds import Product

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch


def test_a_step_is_divided_among_its_kinds() -> None:
  from torch.profiler import ProfilerActivity, profile

  from benchmarks import operations_theirs

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
  with profile(activities=[ProfilerActivity.CPU], record_shapes=True) as trace:
    step()
  spent = list(operations_theirs.spent(trace.events()))
  found = {x.kind for x in spent if x.seconds > 0}
  wanted = {kinds.FORWARD, kinds.BACKWARD, kinds.NORM, kinds.RESIZE, kinds.LOSS, kinds.OPTIMIZER}
  assert wanted <= found
  assert {x.product for x in spent if x.product} == {Product(3, 2, 3, 8, 2 * 8 * 8)}
  assert sum(x.kind == kinds.FORWARD for x in spent) == 1
  assert sum(x.kind == kinds.BACKWARD for x in spent) == 1
  assert {x.backward for x in spent if x.kind == kinds.BACKWARD} == {True}


@pytest.mark.parametrize(
  ("chain", "kind"),
  [
    (["aten::add_", "Optimizer.step#SGD.step"], kinds.OPTIMIZER),
    (["aten::add_"], kinds.NORM),
    (["aten::copy_", "aten::contiguous", "aten::convolution_backward"], kinds.COPIES),
    (["aten::fill_", "aten::zero_", "aten::upsample_bilinear2d_backward"], kinds.RESIZE),
    (["aten::copy_", "aten::to"], kinds.OTHER),
  ],
)
def test_what_an_operation_calls_counts_for_it(chain: list[str], kind: str) -> None:
  from benchmarks import operations_theirs

  assert operations_theirs.kind(chain) == kind
