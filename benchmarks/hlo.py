"""Instructions of a compiled XLA program and the code they come from: HLO text -> operations.

The text holds for every instruction the stack of Python frames that made it; the innermost one in
this package says which part of the network it is. A fusion counts for what its last step does.
"""

from collections.abc import Iterator
import dataclasses
import functools
import math
import re

from benchmarks import kinds
from benchmarks.kinds import Product

PACKAGE = "/hrnet_jax/"
# By file in the package; a folder's name stands for all its files.
KINDS_OF_FILES = {
  "ops/conv.py": kinds.COPIES,  # all but its products
  "ops/batch_norm.py": kinds.NORM,
  "models/layers.py": kinds.NORM,
  "models/blocks.py": kinds.NORM,
  "models/exchange.py": kinds.NORM,  # the sum over the branches
  "ops/resize.py": kinds.RESIZE,
  "models/representations.py": kinds.RESIZE,
  "losses": kinds.LOSS,
  "tasks": kinds.LOSS,
  "training": kinds.OPTIMIZER,
}
PRODUCTS = ("convolution", "dot")
_MOVES = {"copy", "transpose", "pad", "slice", "reverse", "concatenate"}
_INSTRUCTION = re.compile(r"^\s*(ROOT )?%([\w.-]+) = (\(.*?\)|\S+) ([\w-]+)\((.*)$")
_COMPUTATION = re.compile(r"^(?:ENTRY )?%([\w.-]+) \(.*\{$")
_SHAPE = re.compile(r"\w+\[([\d,]*)\]")
_ROW = re.compile(r"^(\d+) (?:\"(.*)\"|\{(.*)\})$")
# What follows the names of the modules in the name of a convolution's instruction.
_INSIDE = re.compile(r"/(?:cond|conv_general_dilated|[^/]*->[^/]*)(?:/|$)")
_OUTSIDE = re.compile(r"jit\(\w+\)/[^/]+")  # of every module and of the loss
_TRANSFORMS = re.compile(r"(?:transpose\()?jvp\(\w*\)+|jit\(\w+\)")


@dataclasses.dataclass(frozen=True)
class Instruction:
  """One line of the text.

  Attributes:
    name: unique in the program.
    opcode: of HLO.
    shape: of the result; of a tuple's first part.
    operands: names.
    rest: attributes and metadata.
    computation: that it stands in.
    root: whether it is the result of the computation.
  """

  name: str
  opcode: str
  shape: tuple[int, ...]
  operands: tuple[str, ...]
  rest: str
  computation: str
  root: bool

  @property
  def op_name(self) -> str:
    """The names of modules and functions of JAX that lead to it."""
    return _attribute(self.rest, r'op_name="([^"]*)"')

  @property
  def backward(self) -> bool:
    """Whether it belongs to the gradients."""
    return "transpose(jvp(" in self.op_name


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
  """The instructions of a program.

  Attributes:
    instructions: by name.
  """

  def __init__(self, text: str):
    """Reads the text of an optimised program (`HloModule.to_string()`)."""
    lines = text.splitlines()
    self.instructions = {x.name: x for x in _instructions(lines)}
    self._tables = _tables(lines)
    self._inside: dict[str, list[Instruction]] = {}
    self._users: dict[str, list[str]] = {}
    for x in self.instructions.values():
      self._inside.setdefault(x.computation, []).append(x)
      for operand in x.operands:
        self._users.setdefault(operand, []).append(x.name)

  def operation(self, name: str) -> Operation:
    """What the instruction of this name is for."""
    x = self.instructions[name]
    return Operation(self._kind(x), self._product_of(x), x.backward, f"{x.op_name} ({name})")

  def is_product(self, name: str) -> bool:
    """Whether the instruction of this name is or holds a convolution or a matrix product."""
    return self._product(self.instructions[name]) is not None

  def source(self, x: Instruction) -> str:
    """The innermost file of this package in the stack of an instruction, or nothing."""
    frame = int(_attribute(x.rest, r"stack_frame_id=(\d+)") or 0)
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
    if not x.op_name:  # XLA's own; it serves what uses it
      users = [self.instructions[name] for name in self._users.get(x.name, ())]
      return next((self._kind(y) for y in users if y.op_name), kinds.OTHER)
    file = self.source(x)
    if self._product(x) and file == "ops/conv.py":
      return kinds.BACKWARD if x.backward else kinds.FORWARD
    if x.op_name.endswith("/add_any"):
      return kinds.NORM  # gradients that meet where an activation was used twice
    if self._moves(x) and any(map(self._is_convolution, self._users.get(x.name, ()))):
      return kinds.COPIES
    if not file and _OUTSIDE.fullmatch(x.op_name):
      return kinds.OPTIMIZER
    folder = file.partition("/")[0]
    return KINDS_OF_FILES.get(file) or KINDS_OF_FILES.get(folder, kinds.OTHER)

  def _is_convolution(self, name: str) -> bool:
    x = self.instructions[name]
    return self._product(x) is not None and self.source(x) == "ops/conv.py"

  def _moves(self, x: Instruction) -> bool:
    """Whether it, or the last step of a fusion, only moves values."""
    body = {y.name: y for y in self._body(x)}
    last = next((y for y in body.values() if y.root), x)
    while last.opcode == "bitcast" and last.operands[0] in body:
      last = body[last.operands[0]]
    return last.opcode in _MOVES

  def _body(self, x: Instruction) -> list[Instruction]:
    called = _attribute(x.rest, r"calls=%([\w.-]+)")
    return self._inside[called] if called else []

  def _product(self, x: Instruction) -> Instruction | None:
    """The convolution or matrix product that an instruction is or holds."""
    return next((y for y in (x, *self._body(x)) if y.opcode in PRODUCTS), None)

  @functools.cached_property
  def _products(self) -> dict[str, set[Product]]:
    """Convolutions of the forward pass by the path of their module."""
    found: dict[str, set[Product]] = {}
    for x in self.instructions.values():
      if x.opcode in PRODUCTS and not x.backward and self.source(x) == "ops/conv.py":
        found.setdefault(_path(x), set()).add(self._dimensions(x))
    return found

  def _dimensions(self, x: Instruction) -> Product:
    kernel = self.instructions[x.operands[1]].shape
    positions = math.prod(x.shape[:-1])
    if x.opcode == "dot":
      return Product(1, 1, *kernel, positions)
    stride = int(_attribute(x.rest, r"stride=(\d+)") or 1)
    return Product(kernel[0], stride, *kernel[2:], positions)

  def _product_of(self, x: Instruction) -> Product | None:
    """Loops over different maps share a path; sizes say which of them it is."""
    held = self._product(x)
    if held and not x.backward and self.source(x) == "ops/conv.py":
      return self._dimensions(held)
    if self._kind(x) not in (kinds.BACKWARD, kinds.COPIES):
      return None
    found = self._products.get(_path(x), set())
    operands = (self.instructions[name].shape for name in x.operands)
    sizes = {math.prod(shape) for shape in (x.shape, *operands)}
    fitting = [p for p in found if sizes & {p.positions * p.inputs, p.positions * p.outputs}]
    fitting = list(found) if len(found) == 1 else fitting
    return fitting[0] if len(fitting) == 1 else None


def _instructions(lines: list[str]) -> Iterator[Instruction]:
  computation = ""
  for line in lines:
    if found := _COMPUTATION.match(line):
      computation = found[1]
    elif found := _INSTRUCTION.match(line):
      root, name, result, opcode, rest = found.groups()
      arguments, _, rest = rest.partition(")")
      shape = _SHAPE.search(result)
      sizes = tuple(int(n) for n in shape[1].split(",") if n) if shape else ()
      operands = tuple(re.findall(r"%([\w.-]+)", arguments))
      yield Instruction(name, opcode, sizes, operands, rest, computation, bool(root))


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
  path = _INSIDE.split(x.op_name, maxsplit=1)[0]
  return "/".join(part for part in path.split("/") if not _TRANSFORMS.fullmatch(part))


def _attribute(text: str, pattern: str) -> str:
  found = re.search(pattern, text)
  return found[1] if found else ""
