"""Reads the text of a compiled program: instructions, their arrays, and how often each runs.

The text is what `compiled.as_text()` gives: one device's part of the program.
"""

from collections.abc import Iterator
import dataclasses
import functools
import math
import re

_HEAD = re.compile(r"^(?:ENTRY )?%?([\w.-]+) \(.*\{$")
_LINE = re.compile(r"^\s+(ROOT )?%?([\w.-]+) = (\(.*?\)|\S+) ([a-z][\w-]*)\((.*)$")
_ARRAY = re.compile(r"([a-z][a-z0-9]*)\[([0-9,]*)\](?:\{([0-9,]*)(?::([^}]*))?\})?")
_NAME = re.compile(r"%([\w.-]+)")
_TILE = re.compile(r"T\(([0-9,]+)\)")
_SPACE = re.compile(r"S\((\d+)\)")
_TRIPS = re.compile(r'"known_trip_count":\{"n":"(\d+)"')
_CALLED = re.compile(
  r"(?:calls|to_apply|body|condition|true_computation|false_computation)=%?([\w.-]+)"
)
_LISTED = re.compile(r"(?:branch_computations|called_computations)=\{([^}]*)\}")
_TABLES = ("FileNames", "FunctionNames", "FileLocations", "StackFrames")
_ROW = re.compile(r"^(\d+) (?:\"(.*)\"|\{(.*)\})$")
_HBM = 0


@dataclasses.dataclass(frozen=True)
class Array:
  """One array of the program.

  Attributes:
    dtype: `f32`, `bf16`, `u8`, ...
    shape: of this device's part.
    order: axes from the fastest to the slowest in memory.
    tile: the last axes in memory are padded to multiples of it; empty where there is none.
    space: 0 is the device's main memory, others are on the chip or on the host.
  """

  dtype: str
  shape: tuple[int, ...]
  order: tuple[int, ...] = ()
  tile: tuple[int, ...] = ()
  space: int = _HBM

  @property
  def size(self) -> int:
    """Bytes of the values."""
    return math.prod(self.shape) * self._bits // 8

  @property
  def stored(self) -> int:
    """Bytes in memory, with what the layout adds."""
    lengths = [self.shape[axis] for axis in self.order] or list(self.shape)
    lengths += [1] * (len(self.tile) - len(lengths))
    for place, multiple in enumerate(reversed(self.tile)):
      lengths[place] = -(-lengths[place] // multiple) * multiple
    return math.prod(lengths) * self._bits // 8

  @property
  def traffic(self) -> int:
    """Bytes that move when it is read or written; none if it is not in the main memory."""
    return self.stored if self.space == _HBM else 0

  @property
  def _bits(self) -> int:
    if self.dtype == "pred":
      return 8
    number = re.search(r"\d+", self.dtype)
    return int(number[0]) if number else 0  # a token


@dataclasses.dataclass(frozen=True)
class Instruction:
  """One line.

  Attributes:
    name: unique in its computation.
    opcode: such as `convolution`.
    results: arrays of its value, a tuple's in a row.
    operands: names of instructions of the same computation.
    text: all that follows the opcode.
    root: whether it is the value of its computation.
  """

  name: str
  opcode: str
  results: tuple[Array, ...]
  operands: tuple[str, ...]
  text: str
  root: bool

  @property
  def op_name(self) -> str:
    """The modules and functions of JAX that lead to it, `jit(f)/Network/...`; empty for XLA's."""
    return self.attribute(r'op_name="([^"]*)"')

  def attribute(self, pattern: str) -> str:
    """The first group of a regular expression that is searched in `text`; empty if it is absent."""
    found = re.search(pattern, self.text)
    return found[1] if found else ""


@dataclasses.dataclass(frozen=True)
class Computation:
  """A function of the program.

  Attributes:
    name: unique.
    lines: its instructions by name, in order.
    runs: how often a step runs it.
    inside: whether it is part of an instruction, such as a fusion, whose values between stay on the
      chip.
  """

  name: str
  lines: dict[str, Instruction]
  runs: int = 0
  inside: bool = False

  def operands(self, line: Instruction) -> list[Array]:
    """The arrays that an instruction takes."""
    return [a for name in line.operands if name in self.lines for a in self.lines[name].results]

  @property
  def root(self) -> Instruction:
    """The instruction that gives the value."""
    return next(line for line in self.lines.values() if line.root)


@dataclasses.dataclass(frozen=True)
class HloProgram:
  """All that runs, callers first.

  Attributes:
    computations: by name; those that never run are left out.
    unknown_loops: loops whose number of rounds the text does not tell; they are counted as one.
    tables: files, functions, places and stack frames of the Python code, by number.
  """

  computations: dict[str, Computation]
  unknown_loops: int
  tables: dict[str, dict[int, str]] = dataclasses.field(default_factory=dict, repr=False)

  def run(self) -> Iterator[tuple[Computation, Instruction]]:
    """Every instruction that runs, with its computation."""
    for computation in self.computations.values():
      for line in computation.lines.values():
        yield computation, line

  @property
  def arguments(self) -> list[Instruction]:
    """Parameters of the whole program, in their order."""
    entry = next(iter(self.computations.values()))
    found = [line for line in entry.lines.values() if line.opcode == "parameter"]
    return sorted(found, key=lambda line: int(line.text.partition(")")[0]))

  def source_files(self, line: Instruction) -> Iterator[str]:
    """Python files of the stack that made an instruction, the innermost first."""
    frames = self.tables.get("StackFrames", {})
    # XLA prints the number after the parent's. The first frame, which has none, shows whether this
    # version does: it is then its own parent, and would otherwise have the number 0.
    offset = _field(frames.get(1, ""), "parent_frame_id")
    frame = int(line.attribute(r"stack_frame_id=(\d+)") or 0)
    while frame > 0:
      place = self.tables["FileLocations"][_field(frames[frame], "file_location_id")]
      yield self.tables["FileNames"][_field(place, "file_name_id")]
      frame = _field(frames[frame], "parent_frame_id") - offset


def parse(text: str) -> HloProgram:
  """Reads a program.

  Raises:
    ValueError: it is not the text of a program.
  """
  found, entry = _split(text)
  if entry is None:
    raise ValueError("not a compiled program: it has no ENTRY")
  runs, inside, unknown = {entry: 1}, set(), 0
  for name in reversed(found):  # a computation stands before those that call it
    for line in found[name].values() if name in runs else ():
      times, known = _rounds(line, found)
      unknown += not known
      within = name in inside or line.opcode not in ("while", "conditional", "call", "async-start")
      for called in _called(line):
        runs[called] = runs.get(called, 0) + runs[name] * times
        if within:
          inside.add(called)
  ordered = [name for name in reversed(found) if name in runs]
  ordered.sort(key=lambda name: name != entry)
  return HloProgram(
    {n: Computation(n, found[n], runs[n], n in inside) for n in ordered}, unknown, _tables(text)
  )


def arrays(text: str) -> tuple[Array, ...]:
  """The arrays of a type, such as `(f32[8,64]{1,0:T(8,128)}, s32[])`."""
  return tuple(_array(*match.groups()) for match in _ARRAY.finditer(text))


@functools.lru_cache(maxsize=100_000)
def _array(dtype: str, shape: str, order: str | None, more: str | None) -> Array:
  tile, space = _TILE.search(more or ""), _SPACE.search(more or "")
  return Array(
    dtype,
    _numbers(shape),
    _numbers(order or ""),
    _numbers(tile[1]) if tile else (),
    int(space[1]) if space else _HBM,
  )


def _split(text: str) -> tuple[dict[str, dict[str, Instruction]], str | None]:
  found: dict[str, dict[str, Instruction]] = {}
  entry, lines = None, None
  for row in text.splitlines():
    if head := _HEAD.match(row):
      lines = found[head[1]] = {}
      entry = head[1] if row.startswith("ENTRY") else entry
    elif row.startswith("}"):
      lines = None
    elif lines is not None and (match := _LINE.match(row)):
      root, name, kind, opcode, rest = match.groups()
      operands = tuple(_NAME.findall(rest.partition(")")[0]))
      lines[name] = Instruction(name, opcode, arrays(kind), operands, rest, bool(root))
  return found, entry


def _tables(text: str) -> dict[str, dict[int, str]]:
  """The tables at the top of the text, rows by number."""
  tables: dict[str, dict[int, str]] = {}
  rows: dict[int, str] = {}
  for line in text.splitlines():
    if line in _TABLES:
      rows = tables.setdefault(line, {})
    elif line.startswith(("%", "ENTRY")):  # the first computation
      break
    elif found := _ROW.match(line):
      rows[int(found[1])] = found[2] or found[3] or ""
  return tables


def _field(row: str, name: str) -> int:
  """A number of a table's row; 0 where there is none."""
  found = re.search(rf"{name}=(\d+)", row)
  return int(found[1]) if found else 0


def _called(line: Instruction) -> list[str]:
  names = _CALLED.findall(line.text)
  for listed in _LISTED.findall(line.text):
    names += [name.strip().lstrip("%") for name in listed.split(",")]
  return names


def _rounds(line: Instruction, found: dict[str, dict[str, Instruction]]) -> tuple[int, bool]:
  """How often a line runs what it calls, and whether that is known."""
  if line.opcode != "while":
    return 1, True
  if known := _TRIPS.search(line.text):
    return int(known[1]), True
  condition = line.attribute(r"condition=%?([\w.-]+)")
  limit = _limit(found.get(condition, {}), found)
  return (1, False) if limit is None else (limit, True)


def _limit(
  condition: dict[str, Instruction], found: dict[str, dict[str, Instruction]]
) -> int | None:
  """N of a loop that goes on while its counter is below N; the loops of JAX count from 0."""
  lines = [*condition.values()]
  lines += [x for line in condition.values() for n in _called(line) for x in found[n].values()]
  limits = [
    int(value[1])
    for line in condition.values()
    if line.opcode == "constant" and (value := re.match(r"(-?\d+)\)", line.text))
  ]
  compared = [line for line in lines if line.opcode == "compare"]
  if len(limits) == len(compared) == 1 and "direction=LT" in compared[0].text:
    return limits[0]
  return None


def _numbers(text: str) -> tuple[int, ...]:
  return tuple(int(n) for n in text.split(",") if n)
