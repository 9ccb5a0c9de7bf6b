"""Data sets are prepared where nobody has a name, as in containers that run under any number."""

import grp
import os
import pathlib
import pwd
from typing import NoReturn

import cv2
from etils import epath
import numpy as np
import pytest

from hrnet_jax.data import owners, prepared
from tests.helpers import hostile


@pytest.fixture
def nameless(monkeypatch: pytest.MonkeyPatch) -> None:
  """No number has a name, and there is no home folder."""

  def unknown(number: int) -> NoReturn:
    raise KeyError(f"not found: {number}")

  monkeypatch.setattr(pwd, "getpwuid", unknown)
  monkeypatch.setattr(grp, "getgrgid", unknown)
  for name in ("HOME", "USER", "LOGNAME"):
    monkeypatch.delenv(name, raising=False)


@pytest.mark.usefixtures("nameless")
def test_files_of_nobody_have_a_size(tmp_path: pathlib.Path) -> None:
  path = epath.Path(tmp_path / "a")
  path.write_bytes(b"12345")
  with pytest.raises(KeyError):
    path.stat()
  with owners.nameless_allowed():
    found = path.stat()
    with pytest.raises(FileNotFoundError):
      epath.Path(tmp_path / "b").stat()
  assert (found.length, found.is_directory) == (5, False)
  assert (found.owner, found.group) == (str(os.getuid()), str(os.getgid()))
  with pytest.raises(KeyError):
    path.stat()


@pytest.mark.usefixtures("nameless")
def test_a_data_set_is_prepared(tmp_path: pathlib.Path) -> None:
  for split in ("train", "val"):
    for number, name in enumerate(("cat", "dog")):
      folder = tmp_path / "source" / split / name
      folder.mkdir(parents=True)
      value = number + 10 * (split == "val")
      cv2.imwrite(str(folder / "0.png"), np.full((8, 9, 3), value, np.uint8))
  assert not hostile.prepare("image_folder_classification/mine", tmp_path / "source")
  dataset = prepared.open_dataset("image_folder_classification/mine", tmp_path / "data")
  assert len(dataset.source("train")) == len(dataset.source("val")) == 2
