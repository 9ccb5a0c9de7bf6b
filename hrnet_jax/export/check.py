"""Compares an artefact with the network it was made from: random images -> largest differences."""

from collections.abc import Callable, Iterator
import dataclasses
from typing import Any

import jax
from jax import export
import numpy as np

from hrnet_jax.export.program import Program

# Largest difference of a folded network's outputs, in deviations of the trained network's. In
# bfloat16 both are rounded to eight bits all the way, and this is what rounding makes of it.
TOLERANCE = {"float32": 1e-4, "bfloat16": 0.25, "float64": 1e-4}
DIFFERENT = 1e-3  # share of the artefact's values that may be off, as where two classes tie
_ADDED = (11, 45)  # to height and width, where any will do


@dataclasses.dataclass(frozen=True)
class Agreement:
  """Measured differences for one batch.

  Attributes:
    shape: of the images.
    folding: largest difference of the folded network's outputs from the trained one's, in
      deviations of the latter.
    artefact: share of the artefact's values that are not those of the program it was made from.
  """

  shape: tuple[int, ...]
  folding: float
  artefact: float


def check(data: bytes, program: Program) -> list[Agreement]:
  """Runs an artefact, read back from its bytes, and the networks on random images.

  Batches of two shapes are used, as far as the program leaves its shape open.
  """
  artefact = export.deserialize(bytearray(data))
  found = []
  for shape in dict.fromkeys(_shapes(program)):
    rng = np.random.default_rng(0)
    args = [rng.integers(0, 256, shape, dtype=np.uint8)]
    args += [x.draw(rng, shape) for x in program.sizes.inputs]
    expected, folded = _run(program.folded, *args)
    trained, values = _run(program.trained, *args), _run(artefact.call, *args)
    found.append(Agreement(shape, distance(folded, trained), share_off(values, expected)))
  return found


def distance(values: Any, expected: Any) -> float:
  """Largest difference of an array of a tree from the expected one, in deviations of the latter.

  NaN where a value is not finite.
  """
  each = [np.abs(a - b).max() / _deviation(b) for a, b in _pairs(values, expected)]
  return float(np.max(each))


def _deviation(x: np.ndarray) -> float:
  """The standard deviation; the mean size where there is one value, or all are the same."""
  return max(float(x.std()) or float(np.abs(x).mean()), 1e-30)


def share_off(values: Any, expected: Any) -> float:
  """Share of values that are off: whole numbers by anything, others by a thousandth.

  A thousandth of the deviation of their array, or of themselves; NaN is off.
  """
  wrong = count = 0
  for a, b in _pairs(values, expected):
    if a.shape != b.shape:
      return 1.0
    whole = not np.issubdtype(b.dtype, np.inexact)
    near = a == b if whole else np.isclose(a, b, rtol=1e-3, atol=1e-3 * float(b.std()))
    wrong, count = wrong + int((~near).sum()), count + near.size
  return wrong / count


def _shapes(program: Program) -> Iterator[tuple[int, int, int, int]]:
  sizes, (height, width) = program.sizes, program.sizes.usual
  for number, added in ((1, (0, 0)), (2, _ADDED if sizes.padded else (32, 64))):
    yield (
      number if program.batch == "b" else int(program.batch),
      height + added[0] if "h" in sizes.height else height,
      width + added[1] if "w" in sizes.width else width,
      program.task.normalize.channels,
    )


def _pairs(values: Any, expected: Any) -> Iterator[tuple[np.ndarray, np.ndarray]]:
  return zip(jax.tree.leaves(values), jax.tree.leaves(expected), strict=True)


def _run(function: Callable[..., Any], *args: np.ndarray) -> Any:
  # Without optimisation: it takes much less time to compile, and these images are few.
  compiled = jax.jit(function).lower(*args).compile({"xla_backend_optimization_level": 0})
  return jax.device_get(compiled(*args))
