"""Eight CPU devices, absl flags that may be read, one compilation cache, and the fixture folders.

Everything here must happen before the first `import jax` of the run.
"""

from collections.abc import Iterator
import os
import pathlib
import signal
import sys
from typing import Any

from absl import flags
import hypothesis
import pytest

from tests.helpers import environment

os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["XLA_FLAGS"] = environment.xla_flags(devices=8)
environment.use_compilation_cache()
# Time limits of single examples would fail on a busy machine.
hypothesis.settings.register_profile("default", deadline=None)
hypothesis.settings.load_profile("default")
flags.FLAGS.mark_as_parsed()  # grain reads flags that only app.run would parse

pytest_plugins = ["tests.helpers.label_folders"]

TESTS = pathlib.Path(__file__).parent
# Folders and files, of whole runs and of steps in float64.
LONG = {
  "end_to_end",
  "docs",
  "test_golden_landmark_steps.py",
  "test_golden_segmentation_steps.py",
  "test_meshes.py",
  "test_old_runs.py",
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
  """Begins with what takes long, so that no process ends with it while the others wait."""
  items.sort(key=lambda item: not {item.path.parent.name, item.path.name} & LONG)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
  """Compiles as users do only where numbers are compared with those of the reference."""
  as_users = any(item.get_closest_marker(name) for name in ("optimised", "wide", "torch"))
  environment.compile_quickly(not as_users)


def pytest_runtest_teardown() -> None:
  """Keeps a process that runs thousands of tests from filling the memory."""
  environment.limit_memory()


@pytest.fixture(scope="session")
def golden() -> pathlib.Path:
  """The committed numbers of the official code; see tests/golden/README.md."""
  return TESTS / "golden"


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
  """The folder of prepared data sets, with the toy's."""
  from tests.helpers import toy  # imports JAX

  folder = tmp_path_factory.mktemp("data")
  toy.prepare(folder)
  return folder


@pytest.fixture
def dataset(data: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Any:
  """The toy's, opened; $HRNET_JAX_DATA names its folder."""
  from tests.helpers import toy

  monkeypatch.setenv("HRNET_JAX_DATA", str(data))
  return toy.prepared.open_dataset(toy.NAME)


@pytest.fixture
def interruptible() -> Iterator[None]:
  """Processes started in the test hear SIGINT, which those of a background job ignore."""
  before = signal.signal(signal.SIGINT, signal.default_int_handler)
  yield
  signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="session")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
  """The folder of the generated data set `shapes`, prepared with few scenes."""
  from hrnet_jax.data import prepared
  from hrnet_jax.data.datasets import shapes as builder

  folder = tmp_path_factory.mktemp("shapes")
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(builder, "SPLIT_SIZES", {"train": 60, "val": 12})
    prepared.open_dataset("shapes", folder)
  return folder


@pytest.fixture
def one_device() -> Iterator[None]:
  """See `tests.helpers.commands.one_device`."""
  from tests.helpers import commands

  with commands.one_device():
    yield


@pytest.fixture
def by_onednn(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
  """Convolutions on one of the devices are oneDNN's; skips where the library is not installed."""
  from hrnet_jax.ops.cpu import onednn

  pytest.importorskip(onednn.PACKAGE)
  monkeypatch.delenv(onednn.VARIABLE, raising=False)
  monkeypatch.setattr(onednn, "_unsuitable_devices", lambda: "")
  yield
  sys.modules["jax"].clear_caches()


@pytest.fixture(params=["onednn", "xla"])
def convolution(request: pytest.FixtureRequest) -> str:
  """Whose convolutions a test computes with: first with the library's, then with XLA's."""
  if request.param == "onednn":
    request.getfixturevalue("by_onednn")
  return request.param


@pytest.fixture(scope="session")
def shared() -> pathlib.Path:
  """The folder of real data and further fixtures next to the checkout; skips where it is absent."""
  path = TESTS.parents[1] / "shared"
  if not path.is_dir():
    pytest.skip(f"needs the shared folder at {path}")
  return path
