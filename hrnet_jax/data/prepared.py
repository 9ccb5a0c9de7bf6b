"""Data sets by name: prepares them, opens them, reads their records by index.

A name is that of a builder (`coco`), or `builder/variant` where a user has several folders of
their own (`coco/my_streets`). It is the same in `prepare --dataset=NAME`, in
`config.data.name` and on disk: `data_dir/NAME/version`, see `storage.py`.
"""

from collections.abc import Callable
import contextlib
import errno
import os
import pathlib
import re
import sys
import tempfile
from typing import Any

from absl import logging
import tensorflow_datasets as tfds
from tensorflow_datasets.core import example_serializer

from hrnet_jax import registry
from hrnet_jax.data import contents, storage, tfds_prepared
from hrnet_jax.data.dataset import ADVICE, Dataset, DatasetInfo, read_metadata
from hrnet_jax.data.datasets import base
from hrnet_jax.errors import UserError, about_input, is_about_input
from hrnet_jax.task_spec import resolve

_OF_STORAGE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS, errno.EACCES)


def open_dataset(name: str, data_dir: str | os.PathLike | None = None) -> Dataset:
  """Opens a prepared data set; one that is built in is prepared first where it has to be.

  Args:
    name: one of `known_datasets()`, or `NAME/variant` for a builder with variants.
    data_dir: the folder of prepared data sets; without it $HRNET_JAX_DATA, and without that
      ~/.cache/hrnet_jax/datasets.

  Raises:
    ValueError: no such name; the message lists those there are.
    FileNotFoundError: not prepared; the message gives the command.
  """
  if name in tfds_prepared.SPLITS:
    return tfds_prepared.open_prepared(name, storage.resolve_data_dir(data_dir))
  builder, place = _locate(name, data_dir)
  if place.interrupted:
    with place.lock():
      pass
  current = place.current
  if current is None and builder.NEEDS_SOURCE:
    where = f" --data_dir={data_dir}" if data_dir else ""
    raise FileNotFoundError(
      f"data set {name!r} is not prepared in {storage.resolve_data_dir(data_dir)}; run\n"
      f"  hrnet prepare --dataset={name} --source=FOLDER{where}\n"
      f"where FOLDER holds {builder.SOURCE_LAYOUT}"
    )
  if current is None:
    print(f"preparing the built-in data set {name} (once)", file=sys.stderr, flush=True)
    return prepare(name, data_dir)[0]
  return _open_current(name, place)


def prepare(
  name: str,
  data_dir: str | os.PathLike | None = None,
  *,
  source: str | os.PathLike | None = None,
  overwrite: bool = False,
  progress: base.Progress | None = None,
  workers: int | None = None,
  say: Callable[[str], None] | None = None,
  skip_bad: bool = False,
  **options: Any,
) -> tuple[Dataset, bool]:
  """Prepares a data set unless it is there already and its source has not changed.

  An older data set of this name is replaced after the new one is complete, never before, and kept
  for those who read it; see `remove_older`. Of several processes one prepares, the others wait.

  Args:
    name: a key of `registry.dataset_builders()`, or `key/variant`.
    data_dir: see `open_dataset`.
    source: the folder with the user's files, where the data set needs one.
    overwrite: prepare again in any case.
    progress: called after each record with the split, the number done and the number in all.
    workers: threads; by default as many as there are processors.
    say: is told what people should know about their files; by default nobody is.
    skip_bad: leave out photos and annotations that are bad, instead of refusing all; they are
      listed in `Dataset.left_out`.
    **options: of the data set's builder, see `Builder.OPTIONS`.

  Returns:
    The data set, and whether it was built now.

  Raises:
    ValueError: no such name, or a file of the source is not as it has to be.
    FileNotFoundError: the source or a file of it is missing.
  """
  builder_class, place = _locate(name, data_dir)
  if unknown := sorted(options.keys() - set(builder_class.OPTIONS)):
    raise UserError(f"--{unknown[0]} means nothing to data set {name!r}; leave it out")
  source_dir = _check_source(builder_class, place, name, source, overwrite)
  with place.lock():
    current = place.current
    if current and source_dir is None and not overwrite:
      return _open(name, current), False
    with _QuietTfds():
      config = tfds.core.BuilderConfig(name=name.split("/")[1]) if "/" in name else None
      builder = builder_class(
        source=source_dir,
        progress=progress,
        workers=workers,
        say=say,
        skip_bad=skip_bad,
        options=options,
        config=config,
        data_dir=place.building,
        file_format="array_record",
      )
      if current and not overwrite and _is_of(current, builder, skip_bad):
        return _open(name, current), False
      with _writing(place.target), _same_bytes():
        builder.build()
    with _writing(place.target):
      place.publish(builder.signature)
    return _open_current(name, place), True


def verify(
  name: str, data_dir: str | os.PathLike | None = None, *, done: contents.Done | None = None
) -> tuple[pathlib.Path, list[str]]:
  """Reads all of a prepared data set, and compares it with what was written.

  Of what earlier versions prepared, nobody has noted the digests of the records; they are read one
  by one, which their format checks.

  Args:
    name: see `open_dataset`.
    data_dir: see `open_dataset`.
    done: is told how many files have been read, of how many.

  Returns:
    The folder of the data set, and a line for each file, or record, that is damaged.

  Raises:
    ValueError: no such name, or the list of the files is damaged.
    FileNotFoundError: not prepared.
    OSError: a file cannot be read.
  """
  _, place = _locate(name, data_dir)
  current = place.current
  if current is None:
    raise FileNotFoundError(f"data set {name!r} is not prepared in {place.target}")
  if (found := current.damaged(done)) is None:
    return current.folder, _unreadable(_open(name, current))
  return current.folder, [f"{current.folder / file}: {wrong}" for file, wrong in found.items()]


def older(name: str, data_dir: str | os.PathLike | None = None) -> dict[pathlib.Path, int]:
  """Files and folders of a name that are kept for those who read them, and their bytes."""
  return _locate(name, data_dir)[1].older()


def remove_older(name: str, data_dir: str | os.PathLike | None = None) -> dict[pathlib.Path, int]:
  """Removes what `older` lists, also from under those who read it, and returns it."""
  _, place = _locate(name, data_dir)
  with place.lock():
    return place.remove_older()


def known_datasets() -> list[str]:
  """Names of all data sets, those that TFDS prepares among them."""
  return sorted([*registry.dataset_builders(), *tfds_prepared.SPLITS])


def published_facts(name: str) -> DatasetInfo | None:
  """Facts about a data set that are known before it is prepared.

  Returns:
    None where it depends on the user's files, and for data sets that TFDS itself prepares.

  Raises:
    ValueError: no such name.
  """
  if name in tfds_prepared.SPLITS:
    return None
  builder, _ = _locate(name, None)
  if builder.HAS_VARIANTS:
    return None
  with tempfile.TemporaryDirectory() as folder, _QuietTfds():
    return builder(data_dir=folder, file_format="array_record").facts(None)


def _locate(name, data_dir):
  builder, slash, variant = name.partition("/")
  if name in tfds_prepared.SPLITS:
    raise UserError(f"data set {name!r} is not prepared here: {tfds_prepared.advice(name)}")
  if builder not in (builders := registry.dataset_builders()):
    raise UserError(f"unknown data set {name!r}; known: {', '.join(known_datasets())}")
  builder_class = resolve(builders[builder])
  if slash and not builder_class.HAS_VARIANTS:
    raise UserError(f"data set {builder!r} has no variants, got {name!r}")
  if slash and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", variant):
    raise UserError(f"data set {name!r}: use letters, digits, _ and - after {builder}/")
  version = str(builder_class.VERSION)
  return builder_class, storage.Place(storage.resolve_data_dir(data_dir), name, version)


def _check_source(builder, place, name, source, overwrite):
  if not builder.NEEDS_SOURCE:
    if source:
      raise UserError(f"data set {name!r} is built in and takes no source, got {source}")
    return None
  if source is None:
    if place.current and not overwrite:
      return None
    raise UserError(
      f"data set {name!r} needs --source=FOLDER, where FOLDER holds {builder.SOURCE_LAYOUT}"
    )
  path = pathlib.Path(source).expanduser().absolute()
  if not path.is_dir():
    raise FileNotFoundError(
      f"{path}: no such folder; the source folder has to hold {builder.SOURCE_LAYOUT}"
    )
  return path


def _open_current(name, place):
  """Opens what is current, also where it changes at this moment and the older one is removed."""
  while True:
    current = place.current
    try:
      if current is None:
        raise FileNotFoundError(f"{place.target}: the data set {name!r} was removed just now")
      return _open(name, current)
    except (FileNotFoundError, UserError):
      if place.current == current:
        raise


def _open(name, stored):
  content = stored.check()
  metadata = read_metadata(stored.folder)
  with about_input(f"{stored.folder}: {ADVICE}"):
    info = DatasetInfo.from_dict(metadata | {"name": name})
    for values in metadata["splits"].values():
      if not isinstance(values["num_examples"], int) or len(values["max_size"]) != 2:
        raise ValueError("a split without numbers")
    return Dataset(
      **vars(info),
      directory=stored.folder,
      content=content,
      statistics=metadata["splits"],
      subsets={
        name: (split, tuple(positions)) for name, (split, positions) in metadata["subsets"].items()
      },
      unions={name: tuple(splits) for name, splits in metadata["unions"].items()},
      left_out=tuple(metadata.get("left_out", ())),
    )


def _is_of(stored, builder, skip_bad):
  """Whether a data set was made of this source, and lacks nothing that was not to be left out."""
  metadata = read_metadata(stored.folder)
  signature = stored.signature or metadata.get("signature")  # there in earlier versions
  return signature == builder.signature and (
    skip_bad or not (builder.problems or metadata.get("left_out"))
  )


def _unreadable(dataset):
  """A line for each record that cannot be read."""
  found = []
  for split in dataset.splits():
    source = dataset.source(split)
    for position in range(len(source)):
      try:
        source[position]
      except UserError as error:
        found.append(str(error))
  return found


@contextlib.contextmanager
def _writing(folder):
  """Raises what storage says as an OSError that names the folder.

  The library of the records raises it as another error, and a full disk has no name of a file.
  """
  try:
    yield
  except Exception as error:
    if isinstance(error, OSError) and error.filename is None and error.errno:
      error.filename = str(folder)
    if is_about_input(error):
      raise
    for number in _OF_STORAGE:
      if os.strerror(number) in str(error):
        raise OSError(number, os.strerror(number), str(folder)) from error
    raise


@contextlib.contextmanager
def _same_bytes():
  """Has TFDS write the parts of a record in the order of their names, not of a random hash."""
  owner = example_serializer.ExampleSerializer
  before = owner.serialize_example

  def serialize(self, example):
    return self.get_tf_example(example).SerializeToString(deterministic=True)

  owner.serialize_example = serialize
  try:
    yield
  finally:
    owner.serialize_example = before


class _QuietTfds:
  """No bars and notes of TFDS, which speak of downloads; the caller shows its own progress."""

  def __enter__(self):
    self._verbosity = logging.get_verbosity()
    logging.set_verbosity(logging.ERROR)
    tfds.disable_progress_bar()

  def __exit__(self, *exception):
    logging.set_verbosity(self._verbosity)
