"""The toy data set, prepared once."""

import pathlib

import pytest

from hrnet_jax.data.registry import Dataset
from tests import toy


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
  """The folder of prepared data sets."""
  folder = tmp_path_factory.mktemp("data")
  toy.prepare(folder)
  return folder


@pytest.fixture
def dataset(data: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Dataset:
  """Opened; $HRNET_JAX_DATA names its folder."""
  monkeypatch.setenv("HRNET_JAX_DATA", str(data))
  return toy.registry.open_dataset(toy.NAME)
