"""PyTorch's step by operation, from its own profiler: `case -> profile, memory` in a file.

What counts is the time that an operation spends outside of those that it calls. It runs them one
after the other, so the times add up to that by the clock. Needs the extra `torch`.
"""

from collections.abc import Iterator, Mapping
import pathlib
import re
from typing import Any

from torch.autograd.profiler_util import FunctionEvent
from torch.profiler import ProfilerActivity, profile

from benchmarks import apart, kinds, theirs

# The first rule that fits an operation or one that called it, from the inside out.
RULES = {
  kinds.FORWARD: r"aten::(mkldnn_convolution|_slow_conv2d_forward)$",
  kinds.BACKWARD: r"aten::convolution_backward$",
  kinds.COPIES: r"aten::_?convolution$",
  kinds.NORM: r"aten::(native_batch_norm|_?batch_norm|relu|threshold|clamp_min|add_?$)",
  kinds.RESIZE: r"aten::(upsample|_upsample|cat$|narrow)|.*Upsample|.*(CatBackward)",
  kinds.LOSS: r"aten::(_?log_softmax|nll_loss|mse_loss|cross_entropy)|.*(LogSoftmax|Nll|Mse)",
}
_OPTIMIZER = re.compile(r"Optimizer\.")
_CONVOLUTION = "aten::convolution"


def run(
  mode: str, case: Mapping[str, Any], folder: str, result: str, **options: Any
) -> apart.Rival:
  """A rival whose turns profile single steps; arguments and facts as in `operations_ours`."""
  memory = {"imports": theirs.ALONE_MIB}
  rival = getattr(theirs, mode)(case, folder, **options)
  memory["ready"] = apart.resident_mib() - rival.foreign_mib

  def turn(calls: int) -> float:
    for _ in range(calls):
      rival.turn(1)
      options = {"activities": [ProfilerActivity.CPU], "record_shapes": True}
      with profile(**options) as trace, kinds.Clock() as clock:
        rival.turn(1)
      found = spent(trace.events())
      made = kinds.profile(clock.seconds, found, cpu_seconds=clock.cpu_seconds)
      kinds.keep_fastest(pathlib.Path(result), made)
    return clock.seconds

  return apart.Rival({**rival.facts, "memory": memory}, turn, rival.foreign_mib)


def spent(events: list[FunctionEvent]) -> Iterator[kinds.Spent]:
  """The operations of a profile; what is not an operation on tensors is left out."""
  for event in events:
    chain = list(_callers(event))
    if not event.name.startswith(("aten::", "Optimizer.")):
      continue
    caller = next((x for x in chain if x.name.startswith(_CONVOLUTION)), None)
    product = _product(caller) if caller else None
    backward = bool(caller) and caller.name != _CONVOLUTION
    seconds = event.self_cpu_time_total / 1e6
    found = kind([x.name for x in chain])
    yield kinds.Spent(seconds, found, product, backward, event.name, event.name)


def kind(chain: list[str]) -> str:
  """The kind of an operation.

  Args:
    chain: its name and those of its callers, from the inside out.
  """
  if any(map(_OPTIMIZER.match, chain)):
    return kinds.OPTIMIZER
  names = list(RULES)
  for depth, name in enumerate(chain):
    found = next((key for key in names if re.match(RULES[key], name)), None)
    if found in (kinds.FORWARD, kinds.BACKWARD) and depth:
      return kinds.COPIES  # what a convolution calls to prepare its arrays
    if found:
      return found
  return kinds.OTHER


def _callers(event: FunctionEvent | None) -> Iterator[FunctionEvent]:
  while event is not None:
    yield event
    event = event.cpu_parent


def _product(event: FunctionEvent) -> kinds.Product:
  """The convolution of `aten::convolution`, or of `aten::convolution_backward`."""
  backward = event.name != _CONVOLUTION
  images, weight = event.input_shapes[backward : 2 + backward]
  stride = event.concrete_inputs[4 if backward else 3][0]
  height, width = (-(-n // stride) for n in images[2:])
  outputs, inputs, kernel, _ = weight
  return kinds.Product(kernel, stride, inputs, outputs, images[0] * height * width)
