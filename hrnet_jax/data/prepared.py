"""Data sets by name: prepares them, opens them, reads their records by index.

A name is that of a builder (`coco`), or `builder/variant` where a user has several folders of
their own (`coco/my_streets`). It is the same in `prepare --dataset=NAME`, in
`config.data.name` and on disk: `data_dir/NAME/version`.
"""

from collections.abc import Callable
import os
import pathlib
import re
import sys
import tempfile
from typing import Any

from absl import logging
import tensorflow_datasets as tfds

from hrnet_jax import registry
from hrnet_jax.data import storage, tfds_prepared
from hrnet_jax.data.dataset import ADVICE, Dataset, DatasetInfo, read_metadata
from hrnet_jax.data.datasets import base
from hrnet_jax.errors import UserError, about_input
from hrnet_jax.task_spec import resolve


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
  if not place.complete and builder.NEEDS_SOURCE:
    where = f" --data_dir={data_dir}" if data_dir else ""
    raise FileNotFoundError(
      f"data set {name!r} is not prepared in {storage.resolve_data_dir(data_dir)}; run\n"
      f"  hrnet prepare --dataset={name} --source=FOLDER{where}\n"
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
  say: Callable[[str], None] | None = None,
  skip_bad: bool = False,
  **options: Any,
) -> tuple[Dataset, bool]:
  """Prepares a data set unless it is there already and its source has not changed.

  An older data set of this name is replaced after the new one is complete, never before. Of
  several processes one prepares, the others wait for it.

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
    if place.complete and source_dir is None and not overwrite:
      return _open(name, place), False
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
      if place.complete and not overwrite and _is_of(place, builder, skip_bad):
        return _open(name, place), False
      builder.build()
    place.publish()
  return _open(name, place), True


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
    if place.complete and not overwrite:
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


def _open(name, place):
  place.check()
  metadata = read_metadata(place.target)
  with about_input(f"{place.target}: {ADVICE}"):
    info = DatasetInfo.from_dict(metadata | {"name": name})
    for values in metadata["splits"].values():
      if not isinstance(values["num_examples"], int) or len(values["max_size"]) != 2:
        raise ValueError("a split without numbers")
    return Dataset(
      **vars(info),
      directory=place.target,
      statistics=metadata["splits"],
      subsets={
        name: (split, tuple(positions)) for name, (split, positions) in metadata["subsets"].items()
      },
      unions={name: tuple(splits) for name, splits in metadata["unions"].items()},
      left_out=tuple(metadata.get("left_out", ())),
    )


def _is_of(place, builder, skip_bad):
  """Whether a data set was made of this source, and lacks nothing that was not to be left out."""
  metadata = read_metadata(place.target)
  return metadata.get("signature") == builder.signature and (
    skip_bad or not (builder.problems or metadata.get("left_out"))
  )


class _QuietTfds:
  """No bars and notes of TFDS, which speak of downloads; the caller shows its own progress."""

  def __enter__(self):
    self._verbosity = logging.get_verbosity()
    logging.set_verbosity(logging.ERROR)
    tfds.disable_progress_bar()

  def __exit__(self, *exception):
    logging.set_verbosity(self._verbosity)
