"""Base of all TFDS builders: checked records in list order, and facts about them as metadata.

A builder lists its entries (cheap), turns each into a record (slow, in threads), and states its
facts. `entry -> {"image": bytes, "label": bytes, "name": str, ...}`.
"""

import collections
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent import futures
import functools
import hashlib
import itertools
import os
import pathlib
from typing import Any, Protocol

import numpy as np
import tensorflow_datasets as tfds

from hrnet_jax.data import images, owners, storage
from hrnet_jax.data.dataset import DatasetInfo
from hrnet_jax.data.datasets.shared_photos import SharedPhotos
from hrnet_jax.data.datasets.turned_photos import TurnedPhotos
from hrnet_jax.data.reading import Problems, Reading
from hrnet_jax.errors import UserError

FOLLOW_OUTSIDE = "follow_outside"  # an option of builders that read names of files
IGNORED = 255  # in every stored label
_SHARD_BYTES = 128 * 2**20
_MANY = 1000  # entries that take a while to check

Progress = Callable[[str, int, int], None]  # split, records done, records in all


class Entry(Protocol):
  """One line of a plan: `size` estimates the bytes of the record."""

  @property
  def size(self) -> int:
    """Bytes of the record, roughly."""

  def cache_key(self) -> str:
    """Changes when the record would."""


class Builder(tfds.core.ShardBasedBuilder, skip_registration=True):
  """Base of all builders; a subclass gives `plan`, `record`, `facts` and `features`.

  Shards are written as the records come, in the order of the list. (TFDS's other base,
  `GeneratorBasedBuilder`, collects a split first, and beyond 1 GB does so through TensorFlow.)

  Attributes:
    NEEDS_SOURCE: whether the files come from a folder of the user. Otherwise the data set is
      built in, and is prepared when it is opened for the first time.
    SOURCE_LAYOUT: what that folder has to look like, for error messages and help.
    HAS_VARIANTS: whether `name/variant` names several data sets, each from its own folder.
    COUNTED: of what the statistics give the number in each class.
    LISTS_SIZES: whether they also list the size of every image.
    OPTIONS: names of what a user may choose about the source; see `options`.
    options: the chosen ones.
    say: is told what people should know about their files, a line at a time.
    problems: what is wrong with single photos and rows. Whoever reads them notes it here and goes
      on, so that people are told all of it. What contradicts the whole is raised at once.
  """

  NEEDS_SOURCE = True
  SOURCE_LAYOUT = ""
  HAS_VARIANTS = False
  COUNTED = "pixels"
  LISTS_SIZES = False
  OPTIONS: tuple[str, ...] = ()

  def __init__(
    self,
    *,
    source: pathlib.Path | None = None,
    progress: Progress | None = None,
    workers: int | None = None,
    say: Callable[[str], None] | None = None,
    skip_bad: bool = False,
    options: Mapping[str, Any] | None = None,
    **kwargs: Any,
  ):
    self._source = source
    self._progress = progress or (lambda split, done, total: None)
    self._workers = workers or min(32, os.cpu_count() or 1)
    self.say = say or (lambda text: None)
    self.problems = Problems()
    self.options = dict(options or {})
    self._skip_bad = skip_bad
    self._plan: dict[str, Sequence[Entry]] | None = None
    self._photos, self._turned = SharedPhotos(), TurnedPhotos()
    super().__init__(**kwargs)

  def plan(self, source: pathlib.Path | None) -> dict[str, Sequence[Entry]]:
    """Lists the entries of every split, in their final order, without those that are bad."""
    raise NotImplementedError

  def reading(self, source: pathlib.Path | None) -> Reading:
    """For those that read files of the source."""
    within = None if self.options.get(FOLLOW_OUTSIDE) or source is None else source.resolve()
    return Reading(within, self.say, self.problems)

  def subsets(self, source: pathlib.Path | None) -> dict[str, tuple[str, list[int]]]:
    """Named parts of splits: `{subset: (split, positions in its plan, ascending)}`.

    They can be read like splits of their own and store nothing twice.
    """
    del source
    return {}

  def unions(self) -> dict[str, tuple[str, ...]]:
    """Names for several splits taken together, one after the other: `{union: splits}`.

    A union is there where all its splits are, can be read like a split and stores nothing twice.
    """
    return {}

  def record(self, entry: Entry) -> dict[str, Any]:
    """Reads or draws one entry and checks it; called from several threads."""
    raise NotImplementedError

  def measured(self, entry: Entry) -> tuple[dict[str, Any], tuple[int, int], np.ndarray]:
    """One record, the size of its image, and how often each class occurs in it.

    Returns:
      The record, height and width, and `(K + 1,)` counts, the last one of what is ignored.
    """
    record = self.record(entry)
    label = images.decode_label(record["label"], record["name"])
    ids = images.count_ids(label)
    num_classes = len(self.facts(self._source).class_names)
    return record, label.shape, np.append(ids[:num_classes], ids[IGNORED])

  def without_bad(self, entry: Entry, problems: Problems) -> Entry | None:
    """An entry without what is bad in it, which is noted; None if nothing is left.

    Called from several threads.
    """
    with problems.noted():
      self.measured(entry)
      return entry
    return None

  def facts(self, source: pathlib.Path | None) -> DatasetInfo:
    """Names, colours and pairs."""
    raise NotImplementedError

  def features(self) -> dict[str, Any]:
    """TFDS features of a record; encoded bytes stay encoded."""
    return {
      "image": tfds.features.Image(shape=(None, None, 3)),
      "label": tfds.features.Image(shape=(None, None, 1)),
      "name": tfds.features.Text(),
    }

  @functools.cached_property
  def signature(self) -> str:
    """The cache key of the source as it was found."""
    return self.cache_key()

  def cache_key(self) -> str:
    """Changes when the source does: names, sizes and times of its files."""
    chosen = f" {sorted(self.options.items())}" if self.options else ""
    described = f"{self.VERSION} {_described(self.facts(self._source))}{chosen}"
    digest = hashlib.sha256(described.encode())
    for split, entries in self._planned().items():
      for entry in entries:
        digest.update(f"{split} {entry.cache_key()}\n".encode())
    if self.problems:
      digest.update(f"{self.problems.texts()}".encode())
    return digest.hexdigest()

  def build(self) -> None:
    """Writes all records and the facts about them.

    Where a record turns out to be bad, all others are checked, too, before anything is raised or,
    if the user wants that, left out.

    Raises:
      ValueError: entries are not as they have to be.
      FileNotFoundError: entries are missing.
    """
    self._build()
    for text in [*self._photos.describe(), *self._turned.describe()]:
      self.say(text)

  def _build(self):
    self.signature  # noqa: B018 - before entries are left out
    if self.problems:
      self._say_checking(self.problems.texts()[0])
    with futures.ThreadPoolExecutor(self._workers) as self._pool, owners.nameless_allowed():
      try:
        if not self.problems and not self._skip_bad:
          try:
            self.download_and_prepare()
            return
          except (UserError, FileNotFoundError) as error:
            self._say_checking(error)
        self._leave_out_bad()
        self.download_and_prepare()
      finally:
        self._pool.shutdown(cancel_futures=True)

  def _leave_out_bad(self):
    large = self._is_large()
    for split, entries in list(self._planned().items()):
      self._plan[split] = kept = []
      results = self._ahead(self._checked, entries)
      for number, (entry, problems) in enumerate(results, 1):
        self.problems.add(problems)
        kept += [] if entry is None else [entry]
        if large:
          self._progress(f"checking {split}", number, len(entries))
    self.subsets(self._source)  # some refer to entries
    if not self._skip_bad:
      self.problems.require_none()
    for split, entries in self._plan.items():
      if not entries:
        raise UserError(
          f"split {split!r}: nothing is left, because all is bad:{self.problems.shown()}"
        )
    if self.problems:
      self.say(f"{len(self.problems)} photos or annotations are left out:{self.problems.shown()}")

  def _is_large(self):
    return sum(map(len, self._planned().values())) > _MANY

  def _say_checking(self, first):
    if self._is_large():
      self.say(f"{first}; the rest is checked, too")

  def _checked(self, entry):
    problems = Problems()
    return self.without_bad(entry, problems), problems

  def _planned(self):
    if self._plan is None:
      try:
        self._plan = dict(self.plan(self._source))
      except (UserError, FileNotFoundError) as error:
        if not self.problems:
          raise
        raise type(error)(f"{error}; besides:{self.problems.shown()}") from None
    return self._plan

  def _info(self) -> tfds.core.DatasetInfo:
    return _Info(
      builder=self,
      description=self.__doc__,
      features=tfds.features.FeaturesDict(self.features()),
      metadata=tfds.core.MetadataDict(),
      disable_shuffling=True,
    )

  def _shard_iterators_per_split(
    self, dl_manager: tfds.download.DownloadManager
  ) -> dict[str, list[Callable[[], Iterator[tuple[int, dict]]]]]:
    self._photos, self._turned = SharedPhotos(), TurnedPhotos()
    facts = self.facts(self._source)
    subsets = self.subsets(self._source)
    self.info.metadata.update(
      facts.to_dict(),
      format=storage.FORMAT,
      splits={},
      subsets=subsets,
      unions={name: of for name, of in self.unions().items() if set(of) <= set(self._planned())},
      **({"left_out": self.problems.texts()} if self.problems else {}),
    )
    described = f"({_described(facts)}, {subsets}, {sorted(self.features())})"
    self._digest = hashlib.sha256(described.encode())
    shards = {}
    for split, entries in self._planned().items():
      examples = self._examples(split, entries)
      shards[split] = [functools.partial(itertools.islice, examples, n) for n in _cut(entries)]
    return shards

  def _examples(self, split, entries):
    statistics = _Statistics(self.COUNTED, self.LISTS_SIZES)
    self._digest.update(f"{split} {len(entries)}".encode())
    for index, (record, size, counts) in enumerate(self._ahead(self.measured, entries)):
      _update_digest(self._digest, record)
      statistics.add(size, counts)
      self._photos.add(split, record.get("image"))
      self._turned.add(record, getattr(entries[index], "image", record["name"]))
      if index + 1 == len(entries):  # nobody asks for more than the last
        self.info.metadata["splits"][split] = statistics.as_dict()
        self.info.metadata["fingerprint"] = self._digest.hexdigest()
      self._progress(split, index + 1, len(entries))
      yield index, record

  def _ahead(self, function, entries):
    """Results in order; threads work a bounded number of entries ahead of the writer."""
    waiting = collections.deque()
    for entry in entries:
      waiting.append(self._pool.submit(function, entry))
      if len(waiting) >= 4 * self._workers:
        yield waiting.popleft().result()
    while waiting:
      yield waiting.popleft().result()

  # TFDS announces downloads here; nothing is downloaded, and the caller reports.
  def _log_download_bytes(self) -> None:
    pass

  def _log_download_done(self) -> None:
    pass


class _Info(tfds.core.DatasetInfo):
  """Facts of a data set that no server knows."""

  def initialize_from_bucket(self) -> None:
    """Asks nobody, and leaves no temporary folder for the answer."""


class _Statistics:
  """Sizes and class counts of one split."""

  def __init__(self, counted: str, lists_sizes: bool):
    self._sizes: set[tuple[int, int]] = set()
    self._each: list[list[int]] | None = [] if lists_sizes else None
    self._counts: Any = 0
    self._counted = counted
    self._examples = 0

  def add(self, size: tuple[int, int], counts: np.ndarray) -> None:
    self._sizes.add(size)
    if self._each is not None:
      self._each.append(list(size))
    self._counts += counts.astype(np.int64)
    self._examples += 1

  def as_dict(self) -> dict[str, Any]:
    heights, widths = zip(*self._sizes, strict=True)
    sizes = {} if self._each is None else {"sizes": self._each}
    return {
      "num_examples": self._examples,
      "max_size": [max(heights), max(widths)],
      "uniform_size": len(self._sizes) == 1,
      f"class_{self._counted}": self._counts[:-1].tolist(),
      f"ignored_{self._counted}": int(self._counts[-1]),
    } | sizes


def exact_numbers(*shape: int | None) -> tfds.features.Tensor:
  """The feature of a float64 array that is stored to the last bit."""
  # TFDS would round float64 to float32 without a word, unless the bytes are stored.
  encoding = tfds.features.Encoding.BYTES
  return tfds.features.Tensor(shape=shape, dtype=np.float64, encoding=encoding)


def _described(facts):
  """The facts as text."""
  # Fingerprints of data contain it, and runs go on only with data of the same one: it stays as is.
  names = (
    "class_names",
    "palette",
    "landmark_names",
    "flip_pairs",
    "class_weights",
    "class_ids",
    "normalizers",
  )
  return f"Facts({', '.join(f'{name}={getattr(facts, name)!r}' for name in names)})"


def _cut(entries):
  """Numbers of records of the shards; TFDS keeps a shard in memory while it writes it."""
  counts, size = [0], 0
  for entry in entries:
    if counts[-1] and size + entry.size > _SHARD_BYTES:
      counts.append(0)
      size = 0
    counts[-1] += 1
    size += entry.size
  return counts


def _update_digest(digest, record: Mapping[str, Any]):
  for key in sorted(record):
    value = record[key]
    if isinstance(value, bool | int | float):
      value = np.asarray(value)
    if isinstance(value, np.ndarray | np.generic):
      digest.update(f"{key} {value.dtype} {value.shape}".encode())
      value = value.tobytes()
    elif isinstance(value, str):
      value = value.encode()
    digest.update(f"{key} {len(value)} ".encode() + value)
