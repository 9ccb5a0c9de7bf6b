"""Sorts the time of a step by kind of operation: XLA's trace and program -> seconds by kind.

XLA notes the beginning and the end of every instruction that it runs, and the program's text the
Python code that each comes from; the innermost file of this package says which part of the network
it is. A fusion counts for what its last step does.
"""

from collections.abc import Callable, Iterable, Iterator
import re
from typing import Any

from jax.profiler import ProfileData

from hrnet_jax.preflight import hlo

FORWARD = "convolutions, forward"
BACKWARD = "convolutions, gradients"
COPIES = "convolutions, copies and changes of layout"
NORM = "batch norm, ReLU, addition"
RESIZE = "resizing, concatenation"
LOSS = "loss"
OPTIMIZER = "optimizer"
OTHER = "other"
BETWEEN = "between operations"
OP_KINDS = (FORWARD, BACKWARD, COPIES, NORM, RESIZE, LOSS, OPTIMIZER, OTHER, BETWEEN)

_PACKAGE = "/hrnet_jax/"
_CONVOLUTIONS = ("ops/conv.py", "ops/cpu/")
# By the beginning of the file's path in the package; the first that fits.
_KINDS_OF_FILES = {
  "ops/conv.py": COPIES,  # all but its products
  "ops/cpu/sums.py": RESIZE,
  "ops/cpu/": COPIES,
  "ops/batch_norm.py": NORM,
  "models/layers.py": NORM,
  "models/blocks.py": NORM,
  "models/exchange.py": NORM,  # the sum over the branches
  "ops/sum_maps.py": RESIZE,
  "ops/resize.py": RESIZE,
  "models/necks.py": RESIZE,
  "tasks/": LOSS,
  "training/": OPTIMIZER,
}
_PRODUCTS = ("convolution", "dot")
_LIBRARY = 'custom_call_target="hrnet_conv_'
_MOVES = {"copy", "transpose", "pad", "slice", "reverse", "concatenate"}
_LOOPS = ("while", "call", "conditional")
_OUTSIDE = re.compile(r"jit\(\w+\)/[^/]+")  # names outside every module and the loss
Interval = tuple[str, float, float]  # instruction, beginning and end in seconds


class StepProgram:
  """A compiled step whose instructions are sorted by kind.

  Attributes:
    computations: that run, by name, the whole program first.
    instructions: of all of them by name, which is unique in an optimised program.
  """

  def __init__(self, text: str):
    """Reads the text of an optimised program (`compiled.as_text()`)."""
    self._program = hlo.parse(text)
    self.computations = self._program.computations
    self.instructions = {line.name: line for _, line in self._program.run()}
    self._users: dict[str, list[hlo.Instruction]] = {}
    for line in self.instructions.values():
      for operand in line.operands:
        self._users.setdefault(operand, []).append(line)

  def kind(self, name: str) -> str:
    """The kind of the instruction of this name, one of `OP_KINDS`."""
    return self._kind(self.instructions[name])

  def has_product(self, name: str) -> bool:
    """Whether the instruction of this name is or holds a convolution or a matrix product."""
    return self._product(self.instructions[name])

  def _kind(self, x: hlo.Instruction) -> str:
    users = self._users.get(x.name, ())
    if not x.op_name:  # XLA's own; it serves what uses it
      return next((self._kind(y) for y in users if y.op_name), OTHER)
    file = self._source(x)
    if self._is_convolution(x):
      return BACKWARD if "transpose(jvp(" in x.op_name else FORWARD
    if x.op_name.endswith("/add_any"):
      return NORM  # gradients that meet where an activation was used twice
    if self._only_moves(x) and any(map(self._is_convolution, users)):
      return COPIES
    if not file and _OUTSIDE.fullmatch(x.op_name):
      return OPTIMIZER
    return next((kind for start, kind in _KINDS_OF_FILES.items() if file.startswith(start)), OTHER)

  def _source(self, x: hlo.Instruction) -> str:
    """The innermost file of this package in the stack of an instruction, or nothing."""
    files = (file.rpartition(_PACKAGE) for file in self._program.source_files(x))
    return next((inside for _, found, inside in files if found), "")

  def _is_convolution(self, x: hlo.Instruction) -> bool:
    return self._product(x) and self._source(x).startswith(_CONVOLUTIONS)

  def _product(self, x: hlo.Instruction) -> bool:
    return any(y.opcode in _PRODUCTS or _LIBRARY in y.text for y in (x, *self._body(x)))

  def _only_moves(self, x: hlo.Instruction) -> bool:
    """Whether it, or the last step of a fusion, only moves values."""
    body = {y.name: y for y in self._body(x)}
    last = next((y for y in body.values() if y.root), x)
    while last.opcode == "bitcast" and last.operands[0] in body:
      last = body[last.operands[0]]
    return last.opcode in _MOVES

  def _body(self, x: hlo.Instruction) -> list[hlo.Instruction]:
    called = x.attribute(r"calls=%([\w.-]+)")
    return list(self.computations[called].lines.values()) if called else []


def by_kind(seconds: float, parts: Iterable[tuple[str, float]]) -> dict[str, float]:
  """Seconds of every kind of operation.

  Args:
    seconds: of the whole step; time of no operation is `BETWEEN` them.
    parts: kind and seconds of each operation.
  """
  sums = dict.fromkeys(OP_KINDS, 0.0)
  for kind, part in parts:
    sums[kind] += part
  sums[BETWEEN] += max(0.0, seconds - sum(sums.values()))
  return sums


def shares(intervals: Iterable[Interval]) -> list[tuple[str, float]]:
  """Splits the time in which operations run among them.

  A moment in which several run is divided evenly, so that the shares add up to the time by the
  clock in which something ran.

  Args:
    intervals: name, beginning and end.

  Returns:
    Name and share of each, in the unit of the intervals.
  """
  intervals = list(intervals)
  found = [0.0] * len(intervals)
  marks = [(x[side], side, k) for k, x in enumerate(intervals) for side in (1, 2)]
  active: set[int] = set()
  last = 0.0
  for moment, side, k in sorted(marks):
    for other in active:
      found[other] += (moment - last) / len(active)
    last = moment
    (active.add if side == 1 else active.discard)(k)
  return [(name, share) for (name, _, _), share in zip(intervals, found, strict=True)]


def read_intervals(trace: ProfileData, hands_over: Callable[[str], bool]) -> list[Interval]:
  """All that a trace shows but loops, whose insides are there as well.

  An instruction that hands work to other threads ends with an event of its own, which has its
  number. That is the end of convolutions and matrix products. Others hand over so little that until
  then they mostly wait for a thread, so they end with the call that they work in themselves.

  Args:
    trace: of a step.
    hands_over: whether an instruction, by its name, is one of the former.
  """
  began: dict[Any, Interval] = {}
  ended: dict[Any, float] = {}
  for event in _events(trace):
    stats, start = dict(event.stats), event.start_ns / 1e9
    end = start + event.duration_ns / 1e9
    if "hlo_op" in stats:
      began[stats["_p"]] = (stats["hlo_op"], start, end)
    elif event.name.startswith("end: "):
      ended[stats["_c"]] = end
  return [
    (name, start, max(end, ended.get(key, end)) if hands_over(name) else end)
    for key, (name, start, end) in began.items()
    if not name.startswith(_LOOPS)
  ]


def _events(trace: ProfileData) -> Iterator[Any]:
  for plane in trace.planes:
    for line in plane.lines:
      if line.name.startswith("tf_XLA"):
        yield from line.events
