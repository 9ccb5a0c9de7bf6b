"""One prepared toy data set for the tests of testing."""

import pytest

from tests import toy


@pytest.fixture(scope="session")
def data(tmp_path_factory):
  """The folder of prepared data sets."""
  folder = tmp_path_factory.mktemp("data")
  toy.prepare(folder)
  return folder


@pytest.fixture
def dataset(data, monkeypatch):
  """Opened; $HRNET_JAX_DATA names its folder."""
  monkeypatch.setenv("HRNET_JAX_DATA", str(data))
  return toy.registry.open_dataset(toy.NAME)
