"""Instructions of a compiled XLA program and the code they come from: HLO text -> operations.

The text holds for every instruction the stack of Python frames that made it; the innermost one in
this package says which part of the network it is. A fusion counts for what its last step does.
"""

import dataclasses
import functools
import math
import re

from benchmarks import kinds
from benchmarks.kinds import Product
from hrnet_jax.preflight.hlo import Instruction, parse

PACKAGE = "/hrnet_jax/"
CONVOLUTIONS = ("ops/conv.py", "ops/cpu/conv_gradients.py")
# By file in the package; a folder's name stands for all its files.
KINDS_OF_FILES = {
  **dict.fromkeys(CONVOLUTIONS, kinds.COPIES),  # all but their products
  "ops/batch_norm.py": kinds.NORM,
  "models/layers.py": kinds.NORM,
  "models/blocks.py": kinds.NORM,
  "models/exchange.py": kinds.NORM,  # the sum over the branches
  "ops/resize.py": kinds.RESIZE,
  "models/necks.py": kinds.RESIZE,
  "losses": kinds.LOSS,
  "tasks": kinds.LOSS,
  "training": kinds.OPTIMIZER,
}
PRODUCTS = ("convolution", "dot")
_MOVES = {"copy", "transpose", "pad", "slice", "reverse", "concatenate"}
_ROW = re.compile(r"^(\d+) (?:\"(.*)\"|\{(.*)\})$")
# What follows the names of the modules in the name of a convolution's instruction.
_INSIDE = re.compile(r"/(?:cond|conv_general_dilated|[^/]*->[^/]*)(?:/|$)")
_OUTSIDE = re.compile(r"jit\(\w+\)/[^/]+")  # of every module and of the loss
_TRANSFORMS = re.compile(r"(?:transpose\()?jvp\(\w*\)+|jit\(\w+\)")


@dataclasses.dataclass(frozen=True)
class Operation:
  """What an instruction is for.

  Attributes:
    kind: one of `kinds.KINDS`.
    product: the convolution that it belongs to, if it is known.
    backward: whether it belongs to the gradients.
    name: where it comes from.
  """

  kind: str
  product: Product | None
  backward: bool
  name: str


class Program:
  """What the instructions of a program are for.

  Attributes:
    computations: that run, by name, the whole program first.
    instructions: of all of them by name, which is unique in an optimised program.
  """

  def __init__(self, text: str):
    """Reads the text of an optimised program (`HloModule.to_string()`)."""
    self.computations = parse(text).computations
    self.instructions = {k: x for c in self.computations.values() for k, x in c.lines.items()}
    self._tables = _tables(text.splitlines())
    self._users: dict[str, list[Instruction]] = {}
    for x in self.instructions.values():
      for operand in x.operands:
        self._users.setdefault(operand, []).append(x)

  def operation(self, name: str) -> Operation:
    """What the instruction of this name is for."""
    x = self.instructions[name]
    return Operation(self._kind(x), self._product_of(x), _backward(x), f"{_op_name(x)} ({name})")

  def is_product(self, name: str) -> bool:
    """Whether the instruction of this name is or holds a convolution or a matrix product."""
    return self._product(self.instructions[name]) is not None

  def source(self, x: Instruction) -> str:
    """The innermost file of this package in the stack of an instruction, or nothing."""
    frame = int(_attribute(x.text, r"stack_frame_id=(\d+)") or 0)
    while frame:
      place, parent = (
        int(_attribute(self._tables["StackFrames"][frame], rf"{key}=(\d+)") or 0)
        for key in ("file_location_id", "parent_frame_id")
      )
      number = _attribute(self._tables["FileLocations"][place], r"file_name_id=(\d+)")
      _, found, file = self._tables["FileNames"][int(number)].rpartition(PACKAGE)
      if found:
        return file
      frame = 0 if parent == frame else parent
    return ""

  def _kind(self, x: Instruction) -> str:
    name = _op_name(x)
    if not name:  # XLA's own; it serves what uses it
      return next((self._kind(y) for y in self._users.get(x.name, ()) if _op_name(y)), kinds.OTHER)
    file = self.source(x)
    if self._product(x) and file in CONVOLUTIONS:
      return kinds.BACKWARD if _backward(x) else kinds.FORWARD
    if name.endswith("/add_any"):
      return kinds.NORM  # gradients that meet where an activation was used twice
    if self._moves(x) and any(map(self._is_convolution, self._users.get(x.name, ()))):
      return kinds.COPIES
    if not file and _OUTSIDE.fullmatch(name):
      return kinds.OPTIMIZER
    folder = file.partition("/")[0]
    return KINDS_OF_FILES.get(file) or KINDS_OF_FILES.get(folder, kinds.OTHER)

  def _is_convolution(self, x: Instruction) -> bool:
    return self._product(x) is not None and self.source(x) in CONVOLUTIONS

  def _moves(self, x: Instruction) -> bool:
    """Whether it, or the last step of a fusion, only moves values."""
    body = {y.name: y for y in self._body(x)}
    last = next((y for y in body.values() if y.root), x)
    while last.opcode == "bitcast" and last.operands[0] in body:
      last = body[last.operands[0]]
    return last.opcode in _MOVES

  def _body(self, x: Instruction) -> list[Instruction]:
    called = _attribute(x.text, r"calls=%([\w.-]+)")
    return list(self.computations[called].lines.values()) if called else []

  def _product(self, x: Instruction) -> Instruction | None:
    """The convolution or matrix product that an instruction is or holds."""
    return next((y for y in (x, *self._body(x)) if y.opcode in PRODUCTS), None)

  @functools.cached_property
  def _products(self) -> dict[str, set[Product]]:
    """Convolutions of the forward pass by the path of their module."""
    found: dict[str, set[Product]] = {}
    for x in self.instructions.values():
      if x.opcode in PRODUCTS and not _backward(x) and self.source(x) in CONVOLUTIONS:
        found.setdefault(_path(x), set()).add(self._dimensions(x))
    return found

  def _dimensions(self, x: Instruction) -> Product:
    kernel, result = _shape(self.instructions[x.operands[1]]), _shape(x)
    positions = math.prod(result[:-1])
    if x.opcode == "dot":
      return Product(1, 1, *kernel, positions)
    stride = int(_attribute(x.text, r"stride=(\d+)") or 1)
    return Product(kernel[0], stride, *kernel[2:], positions)

  def _product_of(self, x: Instruction) -> Product | None:
    """Loops over different maps share a path; sizes say which of them it is."""
    held = self._product(x)
    if held and not _backward(x) and self.source(x) in CONVOLUTIONS:
      return self._dimensions(held)
    if self._kind(x) not in (kinds.BACKWARD, kinds.COPIES):
      return None
    found = self._products.get(_path(x), set())
    operands = (self.instructions[name] for name in x.operands)
    sizes = {math.prod(_shape(y)) for y in (x, *operands)}
    fitting = [p for p in found if sizes & {p.positions * p.inputs, p.positions * p.outputs}]
    fitting = list(found) if len(found) == 1 else fitting
    return fitting[0] if len(fitting) == 1 else None


def _tables(lines: list[str]) -> dict[str, dict[int, str]]:
  """The tables of files and frames at the top of the text, rows by number."""
  tables: dict[str, dict[int, str]] = {}
  rows: dict[int, str] = {}
  for line in lines:
    if line in ("FileNames", "FunctionNames", "FileLocations", "StackFrames"):
      rows = tables.setdefault(line, {})
    elif found := _ROW.match(line):
      rows[int(found[1])] = found[2] or found[3] or ""
  return tables


def _path(x: Instruction) -> str:
  """The modules of a convolution, the same for its forward pass and its gradients."""
  path = _INSIDE.split(_op_name(x), maxsplit=1)[0]
  return "/".join(part for part in path.split("/") if not _TRANSFORMS.fullmatch(part))


def _op_name(x: Instruction) -> str:
  """The names of modules and functions of JAX that lead to it."""
  return _attribute(x.text, r'op_name="([^"]*)"')


def _backward(x: Instruction) -> bool:
  """Whether it belongs to the gradients."""
  return "transpose(jvp(" in _op_name(x)


def _shape(x: Instruction) -> tuple[int, ...]:
  """Of its value; of a tuple's first part."""
  return x.results[0].shape if x.results else ()


def _attribute(text: str, pattern: str) -> str:
  found = re.search(pattern, text)
  return found[1] if found else ""
