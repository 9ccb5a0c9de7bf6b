"""What a step's time is spent on, in words for both sides: names of kinds, and convolutions.

The profile of one step is `{"seconds": s, "kinds": {kind: s}, "products": {label: ...}}`.
"""

from collections.abc import Iterable, Mapping
import dataclasses
import json
import math
import pathlib
import time
from typing import Any

FORWARD = "convolutions, forward"
BACKWARD = "convolutions, gradients"
COPIES = "convolutions, copies and changes of layout"
NORM = "batch norm, ReLU, addition"
RESIZE = "resizing, concatenation"
LOSS = "loss"
OPTIMIZER = "optimizer"
OTHER = "other"
BETWEEN = "between operations"
_LONGEST = 25
KINDS = (FORWARD, BACKWARD, COPIES, NORM, RESIZE, LOSS, OPTIMIZER, OTHER, BETWEEN)


@dataclasses.dataclass(frozen=True, order=True)
class Product:
  """A convolution, by what it costs.

  Attributes:
    kernel: side of the window.
    stride: of both axes.
    inputs, outputs: channels.
    positions: of the output, all examples together.
  """

  kernel: int
  stride: int
  inputs: int
  outputs: int
  positions: int

  def __str__(self) -> str:
    stride = f"/{self.stride}" if self.stride > 1 else ""
    window = f"{self.kernel}x{self.kernel}{stride}"
    return f"{window}, {self.inputs} -> {self.outputs}, {self.positions} positions"

  @property
  def flops(self) -> int:
    """Multiplications and additions of the forward pass; each gradient has as many."""
    return 2 * self.kernel**2 * self.inputs * self.outputs * self.positions


@dataclasses.dataclass(frozen=True)
class Spent:
  """One operation of a step.

  Attributes:
    seconds: its share of the time by the clock.
    kind: one of `KINDS`.
    product: the convolution that it belongs to.
    backward: whether it belongs to the gradients.
    name: for people.
    family: the name that it shares with others like it.
  """

  seconds: float
  kind: str
  product: Product | None = None
  backward: bool = False
  name: str = ""
  family: str = ""


def profile(seconds: float, spent: Iterable[Spent], *, cpu_seconds: float) -> dict[str, Any]:
  """Sums the operations of a step.

  Args:
    seconds: of the whole step. What no operation accounts for is `BETWEEN` them.
    spent: all operations.
    cpu_seconds: processor time of the process.

  Returns:
    Plain values: both times, the seconds of each kind, the forward pass and the gradients of each
    convolution, copies included, what each kind consists of, and the operations that took longest.
  """
  spent = list(spent)
  sums = dict.fromkeys(KINDS, 0.0)
  products: dict[Product, dict[str, Any]] = {}
  for x in spent:
    sums[x.kind] += x.seconds
    if x.product:
      new = {"flops": x.product.flops, "calls": 0, "forward": 0.0, "backward": 0.0}
      entry = products.setdefault(x.product, new)
      entry["backward" if x.backward else "forward"] += x.seconds
      entry["calls"] += x.kind == FORWARD
  sums[BETWEEN] += max(0.0, seconds - math.fsum(x.seconds for x in spent))
  longest = sorted(spent, key=lambda x: -x.seconds)[:_LONGEST]
  return {
    "seconds": seconds,
    "cpu_seconds": cpu_seconds,
    "kinds": sums,
    "products": {str(key): products[key] for key in sorted(products)},
    "families": _families(spent),
    "longest": [[x.name, x.kind, x.seconds] for x in longest],
  }


def _families(spent: Iterable[Spent]) -> dict[str, dict[str, float]]:
  """Seconds by kind and by the name of the operation without its place and number."""
  found: dict[str, dict[str, float]] = {}
  for x in spent:
    of = found.setdefault(x.kind, {})
    of[x.family] = of.get(x.family, 0.0) + x.seconds
  return found


class Clock:
  """Seconds and processor seconds inside of a `with`."""

  def __enter__(self) -> "Clock":
    self._start = time.perf_counter(), time.process_time()
    return self

  def __exit__(self, *error: object) -> None:
    self.seconds = time.perf_counter() - self._start[0]
    self.cpu_seconds = time.process_time() - self._start[1]


def keep_fastest(path: pathlib.Path, made: Mapping[str, Any]) -> None:
  """Stores a profile unless that of a faster step is there."""
  if not path.exists() or made["seconds"] < json.loads(path.read_text())["seconds"]:
    path.write_text(json.dumps(made))
