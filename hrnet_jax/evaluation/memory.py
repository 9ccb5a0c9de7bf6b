"""How many examples fit into the memory at a time: an estimate before a pass, halving in it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
import functools
from typing import Any

import jax
import numpy as np

from hrnet_jax.data import memory
from hrnet_jax.data.inputs import Inputs
from hrnet_jax.data.pipeline import Loader
from hrnet_jax.distributed import sharding
from hrnet_jax.distributed.collectives import exchange
from hrnet_jax.errors import UserError, out_of_memory
from hrnet_jax.evaluation.evaluate import Scored, SharedStep, Step, widen
from hrnet_jax.run_log.log import info

_SHARE = 0.7  # of the free memory; the rest is for batches read ahead, and for scratch


def in_fitting_groups(
  step: SharedStep,
  inputs: Inputs,
  variables: Any,
  example: Mapping[str, np.ndarray],
  limit: int = 0,
) -> tuple["InParts", Callable[[], Loader]]:
  """A step of validation and what makes loaders for it, with batches that fit into the memory.

  Args:
    step, variables, example: see `fitting_batch_size`.
    inputs: whose evaluation split it is.
    limit: see `Inputs.eval`.
  """
  mesh, config = step.mesh, inputs.config
  multiple, split = sharding.batch_multiple(mesh), inputs.dataset.source(config.data.eval_split)
  batches = functools.partial(
    inputs.eval,
    height_multiple=sharding.height_multiple(mesh),
    limit=limit,
    batch_size=fitting_batch_size(step, variables, example, config.eval.batch_size, len(split)),
    batch_multiple=multiple,
  )
  return InParts(step, multiple // sharding.data_share(mesh)[1]), batches


def fitting_batch_size(
  step: SharedStep,
  variables: Any,
  example: Mapping[str, np.ndarray],
  batch_size: int,
  num_examples: int,
) -> int:
  """The number of examples at a time for which the memory is enough, by an estimate.

  All processes come to the same number. The estimate counts the arrays of the traced program that
  are needed at the same time, without compiling it; compilers need less where they fuse, and more
  where they copy.

  Args:
    step: of the validation.
    variables: of the network, or their shapes.
    example: of the size that all have.
    batch_size: `eval.batch_size`, over all processes.
    num_examples: of the split; no more are tested at a time.

  Returns:
    `batch_size`, or less: a multiple of what the mesh divides a batch by.
  """
  multiple = sharding.batch_multiple(step.mesh)
  batch_size = min(batch_size, -(-num_examples // multiple) * multiple)
  needed = _needed(step, variables, example, batch_size)
  room = int(_SHARE * int(exchange(np.int64(_free_bytes())).min()))
  if needed <= room:
    return batch_size
  fitting = max(batch_size * room // needed // multiple, 1) * multiple
  height, width = example["image"].shape[:2]
  enough = "" if needed * fitting <= room * batch_size else ", which may still be too many"
  info(
    f"note: to test {batch_size} images of {width}x{height} pixels at a time (eval.batch_size) "
    f"takes about {_gib(needed)} of memory, and {_gib(room)} are free: {fitting} at a time{enough}"
  )
  return fitting


class InParts:
  """A step that takes a batch in halves, quarters, ... where it does not fit into the memory.

  The scores are the same. It remembers what fitted. Where there are several processes, the others
  do not know that one has run out of memory, so that there it only says what to do.

  Attributes:
    shared: see `Step`.
  """

  def __init__(self, step: Step, multiple: int):
    """`multiple` is what the examples of this process must be a multiple of."""
    self.shared = step.shared
    self._step, self._multiple = step, multiple
    self._most: int | None = None

  def __call__(self, variables: Any, batch: Mapping[str, np.ndarray]) -> Scored:
    """See `Step`.

    Raises:
      UserError: the smallest part does not fit.
    """
    while True:
      count = min(self._most or len(batch["mask"]), len(batch["mask"]))
      try:
        parts = [self._step(variables, part) for part in _parts(batch, count)]
      except jax.errors.JaxRuntimeError as error:
        if not out_of_memory(error):
          raise
        self._most = self._less(batch, count, error)
      else:
        return _joined(parts, len(batch["mask"]))

  def example(
    self, batch: Mapping[str, np.ndarray], row: int, prediction: Any
  ) -> tuple[Any, Mapping[str, np.ndarray]]:
    """See `Step`."""
    return self._step.example(batch, row, prediction)

  def _less(self, batch: Mapping[str, np.ndarray], count: int, error: Exception) -> int:
    height, width = batch["image"].shape[1:3]
    what = f"{count} images of {width}x{height} pixels at a time do not fit into the memory"
    less = count // 2 // self._multiple * self._multiple
    if less and jax.process_count() == 1:
      info(f"note: {what} (eval.batch_size); going on with {less}")
      return less
    advice = (
      "lower eval.batch_size"
      if count > self._multiple
      else "let transform.eval or eval.protocol make them smaller"
    )
    raise UserError(
      f"{what} ({str(error).splitlines()[0]}); {advice}, which may change when a run goes on"
    ) from error


def _parts(batch: Mapping[str, np.ndarray], count: int) -> Iterator[Mapping[str, np.ndarray]]:
  """The batch `count` rows at a time; the last part is filled up with rows that do not count."""
  rows = len(batch["mask"])
  if count == rows:
    yield batch
    return
  for first in range(0, rows, count):
    wanted = np.arange(first, first + count)
    part = {key: value[np.minimum(wanted, rows - 1)] for key, value in batch.items()}
    yield part | {"mask": part["mask"] & (wanted < rows)}


def _joined(parts: Sequence[Scored], rows: int) -> Scored:
  """The result for a batch of `rows` from those of its parts."""
  if len(parts) == 1:
    return parts[0]
  sums = [jax.tree.map(widen, part.metric_sums) for part in parts]
  by_row = [(part.predictions, part.per_example_score) for part in parts]
  joined = jax.tree.map(lambda *x: np.concatenate(x)[:rows], *by_row)
  return Scored(jax.tree.map(lambda *x: sum(x[1:], x[0]), *sums), *joined)


def _needed(
  step: SharedStep, variables: Any, example: Mapping[str, np.ndarray], batch_size: int
) -> int:
  """Bytes of one device for a batch."""
  batch = {
    key: jax.ShapeDtypeStruct((batch_size, *np.shape(x)), np.asarray(x).dtype)
    for key, x in {**example, "mask": np.bool_(True), "index": np.int32(0)}.items()
    if np.asarray(x).dtype.kind != "U"
  }
  program: Any = step.run
  traced = program.trace(variables, batch).jaxpr.jaxpr
  arguments = sum(map(_bytes, jax.tree.leaves(batch)))
  return (_peak(traced) + arguments) // step.mesh.size


def _peak(jaxpr: Any) -> int:
  """Bytes of the arrays that a program makes and that are needed at the same time, at most."""
  last = {}
  for number, equation in enumerate(jaxpr.eqns):
    last |= dict.fromkeys(_variables(equation.invars), number)
  last |= dict.fromkeys(_variables(jaxpr.outvars), len(jaxpr.eqns))
  alive, total, most = {}, 0, 0
  for number, equation in enumerate(jaxpr.eqns):
    made = {x: _bytes(x.aval) for x in equation.outvars}
    inside = max(map(_peak, _programs(equation.params)), default=0)
    # The results of a call are among what it has at its end; a loop collects them beside its body.
    results, loop = sum(made.values()), equation.primitive.name in ("scan", "while")
    most = max(most, total + (inside + results if loop else max(inside, results)))
    alive |= {x: size for x, size in made.items() if last.get(x, -1) > number}
    for x in [x for x in alive if last[x] == number]:
      del alive[x]
    total = sum(alive.values())
  return most


def _variables(values: Any) -> list[Any]:
  """Those that are no constants."""
  return [x for x in values if not hasattr(x, "val")]


def _programs(params: Mapping[str, Any]) -> Iterator[Any]:
  """The programs that an equation has among its parameters, as loops and calls have."""
  for value in params.values():
    for x in value if isinstance(value, tuple | list) else (value,):
      program = getattr(x, "jaxpr", x)
      if hasattr(program, "eqns"):
        yield program


def _bytes(aval: Any) -> int:
  size = getattr(aval, "size", 0)
  return size * aval.dtype.itemsize if size else 0


def _free_bytes() -> int:
  """The least of the devices of this process."""
  devices = jax.local_devices()
  if devices[0].platform == "cpu":
    return memory.host_free_bytes() // len(devices)
  stats = [device.memory_stats() or {} for device in devices]
  return min(x.get("bytes_limit", memory.UNKNOWN) - x.get("bytes_in_use", 0) for x in stats)


def _gib(size: int) -> str:
  return f"{size / 2**30:.1f} GiB"
