"""Prepared data with faults: a first set, and one that replaces another."""

import functools
import pathlib
from unittest import mock

import numpy as np

from hrnet_jax.data import images, prepared
from hrnet_jax.data.datasets import base
from tests.faults.operation import NEW, OLD, Operation, replaces, scratch

NAME = "image_folder_segmentation/toy"
_SIZE = 16


@functools.cache
def _source(version: int) -> pathlib.Path:
  """Photos and labels that differ by version."""
  folder = scratch()
  rng = np.random.default_rng(version)
  for split, count in (("train", 2), ("val", 1)):
    for kind in ("images", "labels"):
      (folder / kind / split).mkdir(parents=True)
    for index in range(count):
      shape = (_SIZE, _SIZE)
      photo, label = (rng.integers(0, top, x) for top, x in ((256, (*shape, 3)), (2, shape)))
      for kind, pixels in (("images", photo), ("labels", label)):
        encoded = images.encode_png(pixels.astype(np.uint8))
        (folder / kind / split / f"{version}{index}.png").write_bytes(encoded)
  (folder / "classes.txt").write_text(f"ground\nthing{version}\n")
  return folder


def prepare(folder: pathlib.Path, version: int) -> None:
  """Prepares the set of a version, a file for each record."""
  with mock.patch.object(base, "_SHARD_BYTES", 1):
    prepared.prepare(NAME, folder, source=_source(version), workers=1)


def records(folder: pathlib.Path) -> list[object]:
  """Everything that a reader sees."""
  dataset = prepared.open_dataset(NAME, folder)
  found = [dataset.class_names, dataset.fingerprint]
  for split in ("train", "val"):
    found += [sorted(x.items()) for x in dataset.source(split)]
  return found


@functools.cache
def expected(version: int) -> list[object]:
  """`records` of a version."""
  folder = scratch()
  prepare(folder, version)
  return records(folder)


def _look(folder: pathlib.Path) -> str:
  try:
    found = records(folder)
  except FileNotFoundError:
    return OLD if not (folder / "before").exists() else "none is there"
  if found == expected(2):
    return NEW
  old = (folder / "before").exists() and found == expected(1)
  return OLD if old else f"records of neither: classes {found[0]}"


def _write(folder: pathlib.Path, version: int) -> None:
  if version == 1:
    (folder / "before").touch()  # for `_look`
  prepare(folder, version)


def _operation(name: str, *, fresh: bool) -> Operation:
  return replaces(name, _write, _look, fresh=fresh, survives=False)


OPERATIONS = (
  _operation("prepare, first", fresh=True),
  _operation("prepare, replacing", fresh=False),
)
