"""Data sets by name: prepares them, opens them, reads their records by index.

A name is that of a builder (`camvid`), or `builder/variant` where a user has several folders of
their own (`image_folder_segmentation/my_streets`). It is the same in `prepare --dataset=NAME`, in
`config.data.name` and on disk: `data_dir/NAME/version`.
"""

from collections.abc import Iterator
import dataclasses
import functools
import json
import operator
import os
import pathlib
import re
import sys
from typing import Any

from absl import logging
import tensorflow_datasets as tfds

from hrnet_jax.data import storage
from hrnet_jax.data.builders import base, camvid, image_folder_segmentation, shapes

BUILDERS: dict[str, type[base.Builder]] = {
  "camvid": camvid.Camvid,
  "image_folder_segmentation": image_folder_segmentation.ImageFolderSegmentation,
  "shapes": shapes.Shapes,
}


@dataclasses.dataclass(frozen=True)
class Dataset:
  """A prepared data set.

  Attributes:
    name: as given to `open_dataset`.
    directory: where its files are.
    class_names: names in the order of the ids in the labels; 255 is ignored.
    palette: an RGB colour for each class.
    fingerprint: sha256 over all records in order.
    landmark_names: names of the landmarks, empty where there are none.
    flip_pairs: landmarks that change places when the image is mirrored.
    statistics: for each split the `num_examples`, `max_size` (height, width), `uniform_size`,
      `class_pixels` and `ignored_pixels`.
  """

  name: str
  directory: pathlib.Path
  class_names: tuple[str, ...]
  palette: tuple[tuple[int, int, int], ...]
  fingerprint: str
  landmark_names: tuple[str, ...]
  flip_pairs: tuple[tuple[int, int], ...]
  statistics: dict[str, dict[str, Any]]

  def facts(self) -> dict[str, Any]:
    """What a run and its checkpoints store about the data; plain values."""
    return {
      "name": self.name,
      "fingerprint": self.fingerprint,
      "class_names": list(self.class_names),
      "palette": [list(colour) for colour in self.palette],
      "splits": self.splits(),
    }

  def splits(self) -> dict[str, int]:
    """The number of examples of each split."""
    return {split: values["num_examples"] for split, values in self.statistics.items()}

  def source(self, split: str) -> "Source":
    """The records of a split, still encoded."""
    self._of(split)
    return Source(self.directory, split, self.fingerprint)

  def max_size(self, split: str) -> tuple[int, int]:
    """The largest height and the largest width of the images of a split."""
    height, width = self._of(split)["max_size"]
    return height, width

  def uniform_size(self, split: str) -> bool:
    """Whether all images of a split have the same size."""
    return self._of(split)["uniform_size"]

  def _of(self, split):
    if split not in self.statistics:
      known = ", ".join(self.statistics)
      raise ValueError(f"data set {self.name!r} has no split {split!r}; known: {known}")
    return self.statistics[split]


class Source:
  """Records of one split by index, as Grain reads them; `source[i]` is a dictionary.

  `image`, `label` and the like are encoded bytes, texts are `str`, all else is numpy. Can be
  pickled; the files are opened with the first record, in each process anew.
  """

  def __init__(self, directory: pathlib.Path, split: str, fingerprint: str):
    self._directory, self._split, self._fingerprint = directory, split, fingerprint

  def __len__(self) -> int:
    return len(self._records)

  def __getitem__(self, index: int) -> dict[str, Any]:
    position = operator.index(index)
    if not 0 <= position < len(self):
      raise IndexError(f"record {position} of {len(self)} in {self!r}")
    record = self._records[position]
    return {key: self._texts.get(key, _unchanged)(value) for key, value in record.items()}

  def __iter__(self) -> Iterator[dict[str, Any]]:
    return (self[index] for index in range(len(self)))

  def __repr__(self) -> str:
    return f"Source({self._directory.parent.name}/{self._split}, {self._fingerprint[:12]})"

  def __getstate__(self) -> dict[str, Any]:
    return {"_directory": self._directory, "_split": self._split, "_fingerprint": self._fingerprint}

  @functools.cached_property
  def _builder(self):
    if _read_metadata(self._directory)["fingerprint"] != self._fingerprint:
      raise ValueError(f"{self._directory}: was prepared anew since it was opened; start again")
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


def open_dataset(name: str, data_dir: str | os.PathLike | None = None) -> Dataset:
  """Opens a prepared data set; one that is built in is prepared first where it has to be.

  Args:
    name: a key of `BUILDERS`, or `key/variant`.
    data_dir: the folder of prepared data sets; without it $HRNET_JAX_DATA, and without that
      ~/.cache/hrnet_jax/datasets.

  Raises:
    ValueError: no such name; the message lists those there are.
    FileNotFoundError: not prepared; the message gives the command.
  """
  builder, place = _locate(name, data_dir)
  if place.interrupted:
    with place.lock():
      pass
  if not place.complete and builder.NEEDS_SOURCE:
    where = f" --data_dir={data_dir}" if data_dir else ""
    raise FileNotFoundError(
      f"data set {name!r} is not prepared in {storage.resolve_data_dir(data_dir)}; run\n"
      f"  python -m hrnet_jax.prepare --dataset={name} --source=FOLDER{where}\n"
      f"where FOLDER holds {builder.SOURCE_LAYOUT}"
    )
  if not place.complete:
    print(f"preparing the built-in data set {name} (once)", file=sys.stderr, flush=True)
    prepare(name, data_dir)
  return _open(name, place)


def prepare(
  name: str,
  data_dir: str | os.PathLike | None = None,
  *,
  source: str | os.PathLike | None = None,
  overwrite: bool = False,
  progress: base.Progress | None = None,
  workers: int | None = None,
) -> tuple[Dataset, bool]:
  """Prepares a data set unless it is there already and its source has not changed.

  An older data set of this name is replaced after the new one is complete, never before. Of
  several processes one prepares, the others wait for it.

  Args:
    name: a key of `BUILDERS`, or `key/variant`.
    data_dir: see `open_dataset`.
    source: the folder with the user's files, where the data set needs one.
    overwrite: prepare again in any case.
    progress: called after each record with the split, the number done and the number in all.
    workers: threads; by default as many as there are processors.

  Returns:
    The data set, and whether it was built now.

  Raises:
    ValueError: no such name, or a file of the source is not as it has to be.
    FileNotFoundError: the source or a file of it is missing.
  """
  builder_class, place = _locate(name, data_dir)
  source_dir = _check_source(builder_class, place, name, source, overwrite)
  with place.lock():
    if place.complete and source_dir is None and not overwrite:
      return _open(name, place), False
    with _QuietTfds():
      config = tfds.core.BuilderConfig(name=name.split("/")[1]) if "/" in name else None
      builder = builder_class(
        source=source_dir,
        progress=progress,
        workers=workers,
        config=config,
        data_dir=place.building,
        file_format="array_record",
      )
      if place.complete and not overwrite and _signature(place) == builder.signature():
        return _open(name, place), False
      builder.build()
    place.publish()
  return _open(name, place), True


def _locate(name, data_dir):
  builder, slash, variant = name.partition("/")
  if builder not in BUILDERS:
    raise ValueError(f"unknown data set {name!r}; known: {', '.join(sorted(BUILDERS))}")
  if slash and not BUILDERS[builder].HAS_VARIANTS:
    raise ValueError(f"data set {builder!r} has no variants, got {name!r}")
  if slash and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", variant):
    raise ValueError(f"data set {name!r}: use letters, digits, _ and - after {builder}/")
  version = str(BUILDERS[builder].VERSION)
  return BUILDERS[builder], storage.Place(storage.resolve_data_dir(data_dir), name, version)


def _check_source(builder, place, name, source, overwrite):
  if not builder.NEEDS_SOURCE:
    if source:
      raise ValueError(f"data set {name!r} is built in and takes no source, got {source}")
    return None
  if source is None:
    if place.complete and not overwrite:
      return None
    raise ValueError(
      f"data set {name!r} needs --source=FOLDER, where FOLDER holds {builder.SOURCE_LAYOUT}"
    )
  path = pathlib.Path(source).expanduser().absolute()
  if not path.is_dir():
    raise FileNotFoundError(
      f"{path}: no such folder; the source folder has to hold {builder.SOURCE_LAYOUT}"
    )
  return path


def _open(name, place):
  metadata = _read_metadata(place.target)
  return Dataset(
    name=name,
    directory=place.target,
    class_names=tuple(metadata["class_names"]),
    palette=tuple(tuple(colour) for colour in metadata["palette"]),
    fingerprint=metadata["fingerprint"],
    landmark_names=tuple(metadata["landmark_names"]),
    flip_pairs=tuple(tuple(pair) for pair in metadata["flip_pairs"]),
    statistics=metadata["splits"],
  )


def _signature(place):
  return _read_metadata(place.target)["signature"]


def _read_metadata(directory):
  return json.loads((directory / "metadata.json").read_text())


def _decode_text(value):
  return value.decode()


def _unchanged(value):
  return value


class _QuietTfds:
  """No bars and notes of TFDS, which speak of downloads; the caller shows its own progress."""

  def __enter__(self):
    self._verbosity = logging.get_verbosity()
    logging.set_verbosity(logging.ERROR)
    tfds.disable_progress_bar()

  def __exit__(self, *exception):
    logging.set_verbosity(self._verbosity)
