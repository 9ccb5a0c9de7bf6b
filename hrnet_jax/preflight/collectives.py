"""Communication between the devices of a compiled program: `HloProgram -> [Collective]`."""

from collections import defaultdict
from collections.abc import Callable
import dataclasses
import re

from hrnet_jax.preflight.hlo import HloProgram

# For each kind of collective, the bytes that a device sends for every byte that it contributes, in
# groups of n devices that pass their data round a ring.
SENT: dict[str, Callable[[int], float]] = {
  "all-reduce": lambda n: 2 * (n - 1) / n,
  "all-gather": lambda n: n - 1,
  "reduce-scatter": lambda n: (n - 1) / n,
  "all-to-all": lambda n: (n - 1) / n,
  "collective-permute": lambda n: 1,
}


@dataclasses.dataclass(frozen=True)
class Collective:
  """All instructions of one kind, over one step.

  Attributes:
    kind: key of `SENT`.
    count: how many run.
    bytes: that a device contributes.
    sent: bytes that a device sends, if they go round a ring.
  """

  kind: str
  count: int
  bytes: int
  sent: int


def find(program: HloProgram, devices: int) -> list[Collective]:
  """Adds up the collectives of a program by kind, those in loops for every round.

  Args:
    program: compiled.
    devices: of the whole program.
  """
  count: dict[str, int] = defaultdict(int)
  size: dict[str, int] = defaultdict(int)
  sent: dict[str, float] = defaultdict(float)
  for computation, line in program.run():
    kind = line.opcode.removesuffix("-start")  # the other half, -done, has another name
    if kind in SENT:
      contributed = sum(array.size for array in computation.operands(line))
      count[kind] += computation.runs
      size[kind] += computation.runs * contributed
      sent[kind] += computation.runs * contributed * SENT[kind](group_size(line.text, devices))
  return [
    Collective(kind, count[kind], size[kind], round(sent[kind])) for kind in SENT if kind in count
  ]


def group_size(text: str, devices: int) -> int:
  """How many devices take part in a collective together.

  Args:
    text: attributes of the instruction. Groups are lists `{{0,1},{2,3}}`, a grid `[2,2]<=[4]` of
      groups and members, or axes of a mesh `mesh['a'=2,'b'=2] {'b'}`; none at all means everyone.
    devices: of the whole program.
  """
  if listed := re.search(r"replica_groups=\{\{([0-9,]+)\}", text):
    return len(listed[1].split(","))
  if grid := re.search(r"replica_groups=\[(\d+),(\d+)\]", text):
    return int(grid[2])
  if mesh := re.search(r"replica_groups=mesh\[([^\]]*)\][^{]*\{([^}]*)\}", text):
    axes = dict(re.findall(r"'(\w+)'=(\d+)", mesh[1]))
    size = 1
    for axis, part in re.findall(r"'(\w+)'(?::\(\d+\)(\d+))?", mesh[2]):
      size *= int(part or axes[axis])
    return size
  return devices
