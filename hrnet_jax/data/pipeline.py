"""Source to batches, the same for every data set and task: `record -> {name: (B, ...)}`.

The order of training examples over all processes is a function of the seed alone. Global batch
`n` holds positions `n * B` to `(n + 1) * B` of an endless sequence of shuffled passes, and each
process takes its share of it. So the position in the data is one integer, and a run may be
continued with another number of processes, workers or threads. Examples of several groups, such as
wide and tall images, make batches of one group each; see `grouping.py`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
import contextlib
import dataclasses
from typing import Any

from absl import flags
import grain
import numpy as np

from hrnet_jax.data import grouping
from hrnet_jax.data import workers as worker_processes
from hrnet_jax.errors import UserError, is_about_input

_PROFILING_FLAG = "grain_enable_multiprocess_worker_profiling"


class Loader(Iterator[dict[str, np.ndarray]]):
  """Iterator over the batches of this process; also a context manager that closes it.

  Attributes:
    num_batches: how many batches there are in all, None for the endless training loader.
  """

  def __init__(
    self,
    dataset: grain.IterDataset,
    *,
    start: int = 0,
    num_batches: int | None = None,
    processes: bool = False,
  ):
    """`start` is the batch that comes first; `processes`, whether reading it starts some."""
    self.num_batches = num_batches
    self._iterator: Iterator | None = iter(dataset)
    self._next_batch = start
    self._starting = processes

  def __next__(self) -> dict[str, np.ndarray]:
    if self._iterator is None:
      raise ValueError("the loader is closed; make a new one to go on")
    with worker_processes.starting() if self._starting else contextlib.nullcontext():
      batch = next(self._iterator)
    self._starting = False
    self._next_batch += 1
    return batch

  def state(self) -> dict[str, int]:
    """Position for a checkpoint: `next_batch` is the `start` that continues from here.

    It counts the batches handed out, not those already prefetched.
    """
    return {"next_batch": self._next_batch}

  def close(self) -> None:
    """Stops threads and worker processes. May be called twice."""
    if self._iterator is not None:
      self._iterator.close()  # type: ignore[attr-defined]
    # grain closes again when it is deleted, and complains if that is at the end of the program.
    self._iterator = None

  def __enter__(self) -> "Loader":
    return self

  def __exit__(self, *error) -> None:
    self.close()


class TwoLoaders(Loader):
  """One endless loader up to a batch, and then another; its position counts the batches of both.

  Args:
    first: makes a loader that begins at one of its own batches.
    second: the same, for the batches after `switch`.
    switch: how many batches the first gives.
    start: batches already consumed, of both.
  """

  def __init__(
    self,
    first: Callable[[int], Loader],
    second: Callable[[int], Loader],
    *,
    switch: int,
    start: int,
  ):
    self.num_batches = None
    self._next_batch, self._switch, self._second = start, switch, second
    self._switched = start >= switch
    self._loader = second(start - switch) if self._switched else first(start)

  def __next__(self) -> dict[str, np.ndarray]:
    if self._next_batch == self._switch and not self._switched:
      self.close()
      self._loader = self._second(0)
    batch = next(self._loader)
    self._next_batch += 1
    return batch

  def close(self) -> None:
    """Stops threads and worker processes. May be called twice."""
    self._switched = True
    self._loader.close()


def train_loader(
  source: Sequence[Mapping[str, Any]],
  transform: grain.transforms.RandomMap | Callable,
  *,
  batch_size: int,
  seed: int,
  start: int = 0,
  process_index: int = 0,
  process_count: int = 1,
  workers: int = 0,
  threads: int = 2,
  prefetch: int = 2,
  groups: np.ndarray | None = None,
) -> Loader:
  """Endless batches in seeded order; every pass over the source is shuffled anew.

  Batches are full: the one that holds the end of a pass goes on with the next pass, and a source
  smaller than a batch is simply repeated. The random numbers of an example depend on the seed
  and its position in the endless sequence only.

  Args:
    source: random-access examples with a "name", `len(source)` of them.
    transform: `(record, numpy.random.Generator) -> {name: array}`.
    batch_size: examples per step over all processes.
    seed: of order and augmentation, 0 or more.
    start: batches already consumed, from `Loader.state()["next_batch"]`.
    process_index: which share of each batch this process gets.
    process_count: over how many processes a batch is divided.
    workers: worker processes that prepare batches; 0 prepares them in threads of this process.
    threads: how many such threads; 0 prepares a batch when it is asked for. Decoding and
      resizing release the interpreter lock, so threads are enough for a few cores.
    prefetch: batches kept ready (by each worker, if there are any).
    groups: `(N,)` integers, if the examples of a batch have to be of one group. Then each pass
      repeats some examples to fill up the last batch of each group.

  Raises:
    ValueError: if the source is empty, `batch_size` is not divisible by `process_count`, or a
      number is out of range. While iterating: whatever the transform raises for a record, with
      the record's name in the message.
  """
  local = _local_batch_size(source, batch_size, process_index, process_count)
  if seed < 0 or start < 0:
    raise UserError(f"seed is {seed} and start is {start}; expected 0 or more for both")
  # Own seeds for the two uses: those that grain derives change when a step is put between.
  shuffle_seed, transform_seed = np.random.SeedSequence(seed).generate_state(2).tolist()
  records, groups = _Records(source), grouping.checked(groups, len(source))
  if groups.min() < groups.max():
    # Passes follow each other within the source, which is therefore not repeated.
    order = grouping.Passes(groups, batch_size, shuffle_seed)
    ds = grain.MapDataset.source(grouping.Reordered(records, order))
  else:
    ds = grain.MapDataset.source(records).shuffle(seed=shuffle_seed).repeat()
  ds = ds.random_map(_Apply(as_function(transform)), seed=transform_seed)
  ds = ds.batch(local, drop_remainder=True, batch_fn=_stack)
  ds = ds[process_index::process_count][start:]
  return Loader(_read(ds, workers, threads, prefetch), start=start, processes=workers > 0)


def eval_loader(
  source: Sequence[Mapping[str, Any]],
  transform: grain.transforms.Map | Callable,
  *,
  batch_size: int,
  process_index: int = 0,
  process_count: int = 1,
  workers: int = 0,
  threads: int = 2,
  prefetch: int = 2,
  stack: Callable[[Sequence[Mapping[str, np.ndarray]]], dict[str, np.ndarray]] | None = None,
  groups: np.ndarray | None = None,
) -> Loader:
  """One pass in order, in which every process sees equally many batches.

  Over all processes each example occurs exactly once with "mask" true. The last batch is filled
  up with copies of the last example whose "mask" is false.

  Args:
    source: random-access examples with a "name", `len(source)` of them.
    transform: `record -> {name: array}`.
    batch_size: examples per step over all processes.
    process_index: which share of each batch this process gets.
    process_count: over how many processes a batch is divided.
    workers: worker processes, see `train_loader`.
    threads: threads without workers, see `train_loader`.
    prefetch: batches kept ready.
    stack: makes a batch of examples; by default they must be of one size.
    groups: `(N,)` integers, if the examples of a batch have to be of one group. The groups then
      follow each other, and the last batch of each is filled up.

  Returns:
    A `Loader` whose batches have the arrays of the transform, "mask" bool (B,), "index" int32
    (B,), the position in the source (-1 where the mask is false), and "name" (B,), texts.

  Raises:
    ValueError: as `train_loader`.
  """
  local = _local_batch_size(source, batch_size, process_index, process_count)
  order = grouping.padded(grouping.checked(groups, len(source)), batch_size)
  ds = grain.MapDataset.source(_Padded(_Records(source), order)).map(
    _ApplyMasked(as_function(transform))
  )
  ds = ds.batch(local, drop_remainder=True, batch_fn=stack or _stack)[process_index::process_count]
  read = _read(ds, workers, threads, prefetch)
  return Loader(read, num_batches=len(ds), processes=workers > 0)


def as_function(
  transform: grain.transforms.RandomMap | grain.transforms.Map | Callable,
) -> Callable:
  """The method of a transform that is called with records; a function is one already."""
  if isinstance(transform, grain.transforms.RandomMap):
    return transform.random_map
  return transform.map if isinstance(transform, grain.transforms.Map) else transform


def _local_batch_size(source, batch_size: int, process_index: int, process_count: int) -> int:
  """Examples per batch and process, after checking what both loaders are given."""
  if not len(source):
    raise UserError("the source is empty; expected at least one example")
  if not 0 <= process_index < process_count:
    raise ValueError(f"process_index is {process_index}, expected 0 .. {process_count - 1}")
  if batch_size <= 0 or batch_size % process_count:
    raise UserError(
      f"batch_size is {batch_size}, expected a positive multiple of the {process_count} processes"
      f" (it counts the examples of all processes); use e.g."
      f" {max(round(batch_size / process_count), 1) * process_count}"
    )
  return batch_size // process_count


def _read(ds: grain.MapDataset, workers: int, threads: int, prefetch: int) -> grain.IterDataset:
  """Adds threads or worker processes; neither changes what the batches hold."""
  if min(workers, threads, prefetch) < 0:
    raise UserError(
      f"workers, threads, prefetch are {workers}, {threads}, {prefetch}; expected 0 or more"
    )
  if workers:
    # grain asks for this flag when it starts a worker, which fails where nobody parsed flags.
    if _PROFILING_FLAG in flags.FLAGS and not flags.FLAGS.is_parsed():
      flags.FLAGS[_PROFILING_FLAG].present = True
    options = grain.multiprocessing.MultiprocessingOptions(workers, max(prefetch, 1))
    return (
      ds.to_iter_dataset(grain.ReadOptions(0, 0))
      .mp_prefetch(options, worker_processes.set_up)
      .map(_own)
    )
  ready = max(prefetch, threads) if prefetch else 0
  return ds.to_iter_dataset(grain.ReadOptions(threads, ready))


@dataclasses.dataclass(frozen=True)
class _Records:
  """The source, with the position in the message when a record cannot be read."""

  source: Sequence[Mapping[str, Any]]

  def __len__(self) -> int:
    return len(self.source)

  def __getitem__(self, index: int) -> Mapping[str, Any]:
    try:
      return self.source[int(index)]
    except UserError:  # names the file
      raise
    except Exception as error:
      kind, text = _kind_and_text(error)
      raise kind(f"cannot read record {index} of {len(self)}: {text}") from error


@dataclasses.dataclass(frozen=True)
class _Padded:
  """A pass in an order from `grouping.padded`; items are (record, index or -1)."""

  source: Sequence[Mapping[str, Any]]
  order: tuple[np.ndarray, np.ndarray]

  def __len__(self) -> int:
    return len(self.order[0])

  def __getitem__(self, index: int) -> tuple[Mapping[str, Any], int]:
    position, real = (int(column[index]) for column in self.order)
    return self.source[position], position if real else -1


@dataclasses.dataclass(frozen=True)
class _Apply:
  """A transform that names the record when it fails."""

  transform: Callable

  def __call__(self, record: Mapping[str, Any], *args) -> dict[str, np.ndarray]:
    try:
      return self.transform(record, *args)
    except Exception as error:
      name = str(record.get("name", "a record without a name"))
      if name in str(error):
        raise
      kind, text = _kind_and_text(error)
      raise kind(f"{name}: {text}") from error


@dataclasses.dataclass(frozen=True)
class _ApplyMasked(_Apply):
  """The same for the items of `_Padded`; adds "mask", "index" and, if it has one, "name"."""

  def __call__(self, item: tuple[Mapping[str, Any], int]) -> dict[str, np.ndarray]:
    record, index = item
    place = {"mask": np.bool_(index >= 0), "index": np.int32(index)}
    name = {"name": np.str_(record["name"])} if "name" in record else {}
    return super().__call__(record) | place | name


def _kind_and_text(error: Exception) -> tuple[type[Exception], str]:
  """How an error goes on its way, which may be that from a worker process: as a plain type."""
  if isinstance(error, UserError):
    return UserError, str(error)
  kind = UserError if is_about_input(error) else RuntimeError
  return kind, f"{type(error).__name__}: {error}"


def _stack(examples: Sequence[Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
  """Examples to a batch, `{name: (...)} * B -> {name: (B, ...)}`."""
  batch = {}
  for key in examples[0]:
    values = [np.asarray(example[key]) for example in examples]
    if len(shapes := sorted({value.shape for value in values})) > 1:
      raise UserError(
        f"the examples of a batch have {key!r} of several shapes: {shapes}; set one size in the"
        f" transform, or batch_size so that each process gets one example at a time"
      )
    batch[key] = np.stack(values)
  return batch


def _own(batch: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
  """Copies a worker's arrays out of the memory it shares, which ends when they are deleted."""
  return {key: np.array(value) for key, value in batch.items()}
