"""Data sets that TFDS itself has prepared as ArrayRecord files, read where they are.

Records become what our own builders store: `{"image": bytes, "label": int, "name": str}`. Nothing
is copied and nothing verified, so the fingerprint is that of TFDS's description of the files.
"""

import dataclasses
import functools
import hashlib
import json
import pathlib
from typing import Any

import tensorflow_datasets as tfds

from hrnet_jax.data.dataset import Dataset, Source
from hrnet_jax.errors import UserError

# For each data set our names of its splits, and theirs; `test` of ImageNet has no labels.
SPLITS: dict[str, dict[str, str]] = {"imagenet2012": {"train": "train", "val": "validation"}}


def open_prepared(name: str, data_dir: pathlib.Path) -> Dataset:
  """Opens the newest version of a data set in a TFDS `data_dir`.

  Args:
    name: a key of `SPLITS`.
    data_dir: holds `name/version`.

  Raises:
    FileNotFoundError: it is not there. ValueError: it is there in another format.
  """
  versions = sorted((data_dir / name).glob("*/dataset_info.json"), key=_version)
  if not versions:
    raise FileNotFoundError(f"data set {name!r} is not in {data_dir}: {advice(name)}")
  directory = versions[-1].parent
  described = versions[-1].read_bytes()
  file_format = json.loads(described).get("fileFormat")
  if file_format != "array_record":
    raise UserError(f"{directory}: prepared as {file_format}, not as array_record: {advice(name)}")
  info = tfds.builder_from_directory(directory).info
  class_names = tuple(info.features["label"].names)
  names = json.dumps(class_names).encode()
  return _Prepared(
    name=name,
    directory=directory,
    class_names=class_names,
    palette=((128, 128, 128),) * len(class_names),
    fingerprint=hashlib.sha256(described + names).hexdigest(),
    statistics={
      ours: {"num_examples": info.splits[theirs].num_examples}
      for ours, theirs in SPLITS[name].items()
      if theirs in info.splits
    },
  )


def advice(name: str) -> str:
  """How to make it."""
  return (
    f"TFDS prepares it, where TensorFlow is installed, with\n"
    f"  tfds build {name} --file_format=array_record --data_dir=FOLDER\n"
    f"and config.data.data_dir=FOLDER then reads it"
  )


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Prepared(Dataset):
  def source(self, split: str) -> Source:
    self._of(split)
    return _Renamed(self.directory, SPLITS[self.name][split], self.fingerprint)

  def max_size(self, split: str) -> tuple[int, int]:
    raise UserError(f"data set {self.name!r} does not tell the sizes of its images")

  def uniform_size(self, split: str) -> bool:
    self._of(split)
    return False


class _Renamed(Source):
  def __getitem__(self, index: int) -> dict[str, Any]:
    record = super().__getitem__(index)
    label = int(record["label"])
    return {"image": record["image"], "label": label, "name": record["file_name"]}

  @functools.cached_property
  def _builder(self):
    return tfds.builder_from_directory(self._directory)


def _version(path):
  return [int(part) if part.isdigit() else -1 for part in path.parent.name.split(".")]
