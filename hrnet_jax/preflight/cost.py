"""Arithmetic and memory traffic of a compiled program: `HloProgram -> Cost`.

`compiled.cost_analysis()` counts what is in a loop once, however often the loop goes round; a
network compiled as loops, and accumulated gradients, need the rounds.
"""

import dataclasses
import math
import re

from hrnet_jax.preflight.hlo import Array, Computation, HloProgram, Instruction

# Operations that move nothing: names for arrays, and the second halves of pairs.
_FREE = (
  *("parameter", "constant", "get-tuple-element", "tuple", "bitcast", "after-all"),
  *("while", "conditional", "call", "async-start", "async-update", "opt-barrier"),
  *("partition-id", "replica-id", "add-dependency"),
)
_SLICES = ("dynamic-slice", "slice", "gather")
_UPDATES = ("dynamic-update-slice", "scatter")


@dataclasses.dataclass(frozen=True)
class Cost:
  """The work of one device in one step.

  Attributes:
    flops: operations of convolutions and matrix products, a multiply-accumulate being two; products
      with padding and with the zeros between dilated values are left out.
    traffic: bytes read from and written to the main memory.
  """

  flops: int
  traffic: int


def measure(program: HloProgram) -> Cost:
  """Adds up a program."""
  flops = traffic = 0
  for computation, line in program.run():
    flops += computation.runs * _flops(computation, line)
    if not computation.inside:
      traffic += computation.runs * _traffic(program, computation, line)
  return Cost(flops, traffic)


def _flops(computation: Computation, line: Instruction) -> int:
  if line.opcode == "convolution":
    return _convolution(*computation.operands(line)[:2], line)
  if line.opcode == "dot":
    left = computation.operands(line)[0]
    axes = line.attribute(r"lhs_contracting_dims=\{([0-9,]*)\}")
    contracted = math.prod(left.shape[int(axis)] for axis in axes.split(",") if axis)
    return 2 * math.prod(line.results[0].shape) * contracted
  return 0


def _convolution(image: Array, kernel: Array, line: Instruction) -> int:
  images, kernels, outputs = re.search(r"dim_labels=(\w+)_(\w+)->(\w+)", line.text).groups()
  groups = {
    name: int(line.attribute(rf"{name}_group_count=(\d+)") or 1) for name in ("feature", "batch")
  }
  output = line.results[0]
  positions = 1
  for axis, window in enumerate(_windows(line.text, sum(c.isdigit() for c in outputs))):
    where = str(axis)
    positions *= window.products(
      image.shape[images.index(where)], output.shape[outputs.index(where)]
    )
  channels = image.shape[images.index("f")] // groups["feature"]
  batch = image.shape[images.index("b")] // groups["batch"]
  return 2 * channels * kernel.shape[kernels.index("o")] * batch * positions


@dataclasses.dataclass(frozen=True)
class _Window:
  """One spatial axis of a convolution."""

  size: int = 1
  stride: int = 1
  pad: int = 0
  image_dilation: int = 1
  kernel_dilation: int = 1

  def products(self, image: int, output: int) -> int:
    """Pairs of output and kernel positions that meet a value of the image."""
    end = (image - 1) * self.image_dilation + 1
    starts = (k * self.kernel_dilation - self.pad for k in range(self.size))
    return sum(
      0 <= start + o * self.stride < end and (start + o * self.stride) % self.image_dilation == 0
      for start in starts
      for o in range(output)
    )


def _windows(text: str, rank: int) -> list[_Window]:
  if not rank:  # a product of matrices, which on TPUs is written as a convolution
    return []
  found = re.search(r"window=\{([^}]*)\}", text)
  fields = dict(part.split("=") for part in found[1].split()) if found else {}

  def along(key: str, default: str) -> list[str]:
    return fields.get(key, "x".join([default] * rank)).split("x")

  columns = zip(
    along("size", "1"),
    along("stride", "1"),
    (pad.split("_")[0] for pad in along("pad", "0_0")),
    along("lhs_dilate", "1"),
    along("rhs_dilate", "1"),
    strict=True,
  )
  return [_Window(*map(int, column)) for column in columns]


def _traffic(program: HloProgram, computation: Computation, line: Instruction) -> int:
  if line.opcode in _FREE or line.opcode.endswith("-done") or "AllocateBuffer" in line.text:
    return 0
  operands = computation.operands(line)
  if line.opcode in _SLICES:
    return 2 * _sum(line.results)
  if line.opcode in _UPDATES:
    return 2 * operands[-1].traffic if line.opcode == "scatter" else 2 * operands[1].traffic
  if line.opcode == "copy-start":
    return line.results[0].traffic + _sum(operands)
  if line.opcode.endswith("-start"):
    return 2 * _sum(operands)
  if line.opcode == "fusion":
    return _fused(program.computations[line.attribute(r"calls=%?([\w.-]+)")])
  return _sum(operands) + _sum(line.results)


def _fused(body: Computation) -> int:
  """Bytes that a fusion reads and writes; where it only cuts pieces from an array, the pieces."""
  users: dict[str, list[Instruction]] = {}
  for line in body.lines.values():
    for name in line.operands:
      users.setdefault(name, []).append(line)
  total = sum(_read(line, users) for line in body.lines.values() if line.opcode == "parameter")
  root = body.root
  values = [body.lines[name] for name in root.operands] if root.opcode == "tuple" else [root]
  return total + sum(_written(body, value) for value in values)


def _read(line: Instruction, users: dict[str, list[Instruction]]) -> int:
  total = 0
  for user in users.get(line.name, ()):
    if user.opcode in _SLICES and user.operands[0] == line.name:
      total += sum(a.stored for a in user.results) if _sum(line.results) else 0
    elif user.opcode == "bitcast":
      total += _read(user, users)
    elif user.opcode != "dynamic-update-slice" or user.operands[0] != line.name:
      return _sum(line.results)
  return min(total, _sum(line.results))


def _written(body: Computation, line: Instruction) -> int:
  while line.opcode == "bitcast":
    line = body.lines[line.operands[0]]
  if line.opcode == "dynamic-update-slice" and _sum(line.results):
    return body.operands(line)[1].stored
  return _sum(line.results)


def _sum(values: tuple[Array, ...] | list[Array]) -> int:
  return sum(array.traffic for array in values)
