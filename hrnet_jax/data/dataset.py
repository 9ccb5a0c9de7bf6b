"""Facts about a data set, and its records: `source[i]` -> encoded images and annotation."""

import bisect
from collections.abc import Iterator, Mapping, Sequence
import dataclasses
import functools
import itertools
import json
import operator
import pathlib
import re
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from hrnet_jax.data import contents
from hrnet_jax.errors import UserError, about_input
from hrnet_jax.files import patiently

ADVICE = "damaged, or of another version; prepare the data set again, with --overwrite"
_REMOVED = "has been removed since the data set was opened"
# Of the facts, those that steer training and scores; colours do not.
_STEERING = (
  "class_names",
  "landmark_names",
  "flip_pairs",
  "class_weights",
  "class_ids",
  "normalizers",
  "splits",
)
_SLICE = re.compile(r"(?P<split>.+)\[(?P<first>\d*):(?P<end>\d*)\]")


@dataclasses.dataclass(frozen=True, kw_only=True)
class DatasetInfo:
  """Facts about a data set besides its records; plain values, also in checkpoints.

  Attributes:
    name: as given to `open_dataset`; empty while the data set is being prepared.
    fingerprint: sha256 over all records in order; empty likewise.
    class_names: names in the order of the ids in the labels; 255 is ignored.
    palette: an RGB colour for each class.
    landmark_names: names of the keypoints, empty where there are none.
    flip_pairs: keypoints, or where there are none classes, that change places when the image is
      mirrored.
    class_weights: published weights of the classes in the loss, where there are any.
    class_ids: the ids by which the data set's own files call the classes, where they are others.
    normalizers: distances that errors of keypoints are divided by, each between the means of two
      groups of keypoints.
  """

  name: str = ""
  fingerprint: str = ""
  class_names: tuple[str, ...] = ()
  palette: tuple[tuple[int, int, int], ...] = ()
  landmark_names: tuple[str, ...] = ()
  flip_pairs: tuple[tuple[int, int], ...] = ()
  class_weights: tuple[float, ...] = ()
  class_ids: tuple[int, ...] = ()
  normalizers: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = dataclasses.field(
    default_factory=dict
  )

  @classmethod
  def from_dict(cls, values: Mapping[str, Any]) -> "DatasetInfo":
    """From `to_dict`, or from the facts of a checkpoint.

    Older and converted checkpoints lack some of the facts, which are then empty; whatever else
    there is, such as the numbers of examples, is left out.
    """
    known = {field.name for field in dataclasses.fields(DatasetInfo)}
    return DatasetInfo(**{key: _frozen(value) for key, value in values.items() if key in known})

  def to_dict(self) -> dict[str, Any]:
    """The fields as JSON has them: lists for tuples."""
    return {
      field.name: _plain(getattr(self, field.name)) for field in dataclasses.fields(DatasetInfo)
    }


@dataclasses.dataclass(frozen=True, kw_only=True)
class Dataset(DatasetInfo):
  """A prepared data set: what is known about it, and its records.

  Wherever a split is asked for, `SPLIT[first:end]` is a part of it, as in TFDS; either number may
  be left out.

  Attributes:
    directory: where its files are; nothing changes in it after it was prepared.
    content: a digest of all of its files, which is another with each change; empty for data that
      TFDS itself has prepared. The same records may be stored in other bytes by another version, so
      that runs go by the fingerprint.
    statistics: for each split the `num_examples`, `max_size` (height, width), `uniform_size`,
      `class_pixels` and `ignored_pixels`, or for classes of whole images `class_images`, or of
      objects `class_objects`; and `sizes`, where each image's matters.
    subsets: named parts of splits, `{subset: (split, positions in it)}`; they can be read like
      splits.
    unions: several splits taken together, `{union: its splits}`; read like splits, too.
    left_out: what was bad and left out when it was prepared, a line each.
  """

  directory: pathlib.Path
  content: str = ""
  statistics: dict[str, dict[str, Any]]
  subsets: dict[str, tuple[str, tuple[int, ...]]] = dataclasses.field(default_factory=dict)
  unions: dict[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
  left_out: tuple[str, ...] = ()

  def facts(self) -> dict[str, Any]:
    """Facts that a run and its checkpoints store about the data; plain values."""
    return self.to_dict() | {"content": self.content, "splits": self.splits()}

  def splits(self) -> dict[str, int]:
    """The number of examples of each split, subsets and unions left out."""
    return {split: values["num_examples"] for split, values in self.statistics.items()}

  def subsets_of(self, split: str) -> dict[str, tuple[int, ...]]:
    """The named parts of a split: positions of their examples in it."""
    return {name: positions for name, (of, positions) in self.subsets.items() if of == split}

  def source(self, split: str) -> Sequence[dict[str, Any]]:
    """The records of a split, subset or union, still encoded."""
    if split in self.unions:
      return _Joined(tuple(self.source(part) for part in self.unions[split]))
    if part := self._part(split):
      parent, positions = part
      return Part(self.source(parent), positions)
    self._of(split)
    return Source(self.directory, split, self.fingerprint)

  def max_size(self, split: str) -> tuple[int, int]:
    """The largest height and the largest width of the images of a split."""
    sizes = [values["max_size"] for values in self._of(split)]
    height, width = (max(lengths) for lengths in zip(*sizes, strict=True))
    return height, width

  def uniform_size(self, split: str) -> bool:
    """Whether all images of a split have the same size."""
    of = self._of(split)
    sizes = {tuple(values["max_size"]) for values in of}
    return len(sizes) == 1 and all(values["uniform_size"] for values in of)

  def sizes(self, split: str) -> np.ndarray:
    """Height and width of every image, `(N, 2)` int32.

    Raises:
      ValueError: nobody listed them when the data set was prepared.
    """
    if split in self.unions:
      return np.concatenate([self.sizes(part) for part in self.unions[split]])
    if part := self._part(split):
      parent, positions = part
      return self.sizes(parent)[np.asarray(positions, np.int64)]
    (values,) = self._of(split)
    if "sizes" in values:
      return np.array(values["sizes"], np.int32)
    if not values["uniform_size"]:
      raise UserError(f"data set {self.name!r} does not tell the size of each image")
    return np.tile(np.array(values["max_size"], np.int32), (values["num_examples"], 1))

  def _part(self, split):
    """The split that a subset or a slice is a part of, and its positions there; None for others."""
    if split in self.subsets:
      return self.subsets[split]
    if not (match := _SLICE.fullmatch(split)):
      return None
    bounds = slice(*(int(match[key]) if match[key] else None for key in ("first", "end")))
    positions = range(self._count(match["split"]))[bounds]
    if not positions:
      raise UserError(f"data set {self.name!r}: {split!r} has no examples")
    return match["split"], tuple(positions)

  def _count(self, split):
    """The number of examples, without opening files."""
    if split in self.unions:
      return sum(map(self._count, self.unions[split]))
    if part := self._part(split):
      return len(part[1])
    (values,) = self._of(split)
    return values["num_examples"]

  def _of(self, split):
    """The statistics of the splits whose examples these are."""
    while part := self._part(split):
      split = part[0]
    if missing := [
      part for part in self.unions.get(split, (split,)) if part not in self.statistics
    ]:
      known = ", ".join([*self.statistics, *self.subsets, *self.unions])
      raise UserError(f"data set {self.name!r} has no split {missing[0]!r}; known: {known}")
    return [self.statistics[part] for part in self.unions.get(split, (split,))]


class Source:
  """Records of one split by index, as Grain reads them; `source[i]` is a dictionary.

  `image` and maps such as `label` are encoded bytes, texts `str`, numbers `int`, arrays numpy. It
  can be pickled; the files are opened with the first record, in each process anew.
  """

  def __init__(self, directory: pathlib.Path, split: str, fingerprint: str):
    self._directory, self._split, self._fingerprint = directory, split, fingerprint

  def __len__(self) -> int:
    with about_input(f"{self._directory}: {ADVICE}"):
      return len(self._records)

  def __getitem__(self, index: int) -> dict[str, Any]:
    position = operator.index(index)
    if not 0 <= position < len(self):
      raise IndexError(f"record {position} of {len(self)} in {self!r}")
    try:
      record = self._records[position]
    except Exception as error:
      record = self._again(position, error)
    return {key: self._texts.get(key, _unchanged)(value) for key, value in record.items()}

  def __iter__(self) -> Iterator[dict[str, Any]]:
    return (self[index] for index in range(len(self)))

  def __repr__(self) -> str:
    return f"Source({self._directory}, {self._split}, {self._fingerprint[:12]})"

  def __getstate__(self) -> dict[str, Any]:
    return {"_directory": self._directory, "_split": self._split, "_fingerprint": self._fingerprint}

  def _again(self, position: int, error: Exception) -> dict[str, Any]:
    """A record that could not be read, if only because storage was not there for a while.

    Raises:
      OSError: its file cannot be read now. UserError: it is damaged, or gone.
    """
    info = self._builder.info.splits[self._split]
    ends = list(itertools.accumulate(info.shard_lengths))
    path = pathlib.Path(info.filepaths[bisect.bisect_right(ends, position)])
    if not path.exists():
      raise UserError(f"{path}: {_REMOVED}") from error
    damaged = contents.is_intact(path) is False
    with about_input(f"{path}: record {position} of {self._split} is damaged; {contents.AGAIN}"):
      if damaged:
        raise error
      self.__dict__.pop("_records", None)  # open files of a server that has started again
      return self._records[position]

  @functools.cached_property
  def _builder(self):
    if not self._directory.is_dir():
      raise UserError(f"{self._directory}: {_REMOVED}")
    if read_metadata(self._directory)["fingerprint"] != self._fingerprint:
      raise UserError(f"{self._directory}: was prepared anew since it was opened; start again")
    return tfds.builder_from_directory(self._directory)

  @functools.cached_property
  def _records(self):
    features = self._builder.info.features
    encoded = [key for key, value in features.items() if isinstance(value, tfds.features.Image)]
    decoders = {key: tfds.decode.SkipDecoding() for key in encoded}
    return self._builder.as_data_source(self._split, decoders=decoders)

  @functools.cached_property
  def _texts(self):
    features = self._builder.info.features
    texts = [key for key, value in features.items() if isinstance(value, tfds.features.Text)]
    return dict.fromkeys(texts, _decode_text)


@dataclasses.dataclass(frozen=True)
class Part(Sequence):
  """Some records of a source, by their positions in it."""

  source: Sequence[dict[str, Any]]
  positions: Sequence[int]

  def __len__(self) -> int:
    return len(self.positions)

  def __getitem__(self, index: int) -> dict[str, Any]:
    return self.source[self.positions[operator.index(index)]]


@dataclasses.dataclass(frozen=True)
class _Joined(Sequence):
  """Several sources one after the other."""

  sources: tuple[Sequence[dict[str, Any]], ...]

  def __len__(self) -> int:
    return self._ends[-1]

  def __getitem__(self, index: int) -> dict[str, Any]:
    position = operator.index(index)
    if not 0 <= position < len(self):
      raise IndexError(f"record {position} of {len(self)} in {self!r}")
    number = bisect.bisect_right(self._ends, position)
    return self.sources[number][position - self._ends[number] + len(self.sources[number])]

  @functools.cached_property
  def _ends(self):
    return list(itertools.accumulate(len(source) for source in self.sources))


def examples(dataset: Dataset, split: str) -> Sequence[dict[str, Any]]:
  """The records of a split, subset or union.

  Raises:
    ValueError: there is no such split, or it is empty.
  """
  if not len(source := dataset.source(split)):
    raise UserError(
      f"split {split!r} of {dataset.name} has no example to learn from; `hrnet prepare` said why"
    )
  return source


def changed_fact(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
  """Which fact that steers a run is another now, though the fingerprint may be the same.

  Args:
    before: `Dataset.facts` as they were; those of earlier versions lack some, which then count as
      the same.
    now: the same, of today.

  Returns:
    The first one's name; empty if there is none.
  """
  both = (key for key in _STEERING if key in before and key in now)
  return next((key for key in both if _frozen(before[key]) != _frozen(now[key])), "")


def read_metadata(directory: pathlib.Path) -> dict[str, Any]:
  """Reads the metadata that the builder stored about a data set."""
  path = directory / "metadata.json"
  with about_input(f"{path}: {ADVICE}"):
    content = json.loads(patiently(path.read_bytes))
  if not isinstance(content, dict):
    raise UserError(f"{path}: {ADVICE}")
  return content


def _frozen(value):
  """Tuples for the lists of JSON."""
  if isinstance(value, Mapping):
    return {key: _frozen(x) for key, x in value.items()}
  return tuple(map(_frozen, value)) if isinstance(value, list | tuple) else value


def _plain(value):
  """Lists for tuples."""
  if isinstance(value, Mapping):
    return {key: _plain(x) for key, x in value.items()}
  return list(map(_plain, value)) if isinstance(value, list | tuple) else value


def _decode_text(value):
  return value.decode()


def _unchanged(value):
  return value
