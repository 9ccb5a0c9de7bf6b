"""Eight CPU devices, absl flags that may be read, one compilation cache, and the fixture folders.

Everything here must happen before the first `import jax` of the run.
"""

import os
import pathlib
import shutil
import tempfile
from typing import Any

from absl import flags
import hypothesis
import pytest

os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["XLA_FLAGS"] = " ".join(
  [os.environ.get("XLA_FLAGS", ""), "--xla_force_host_platform_device_count=8"]
).strip()
# Time limits of single examples would fail on a busy machine.
hypothesis.settings.register_profile("default", deadline=None)
hypothesis.settings.load_profile("default")
flags.FLAGS.mark_as_parsed()  # grain reads flags that only app.run would parse

pytest_plugins = ["tests.helpers.label_folders"]

TESTS = pathlib.Path(__file__).parent
CACHE = "JAX_COMPILATION_CACHE_DIR"
_made: list[str] = []


def pytest_configure(config: pytest.Config) -> None:
  """Gives the workers and the subprocesses of one run a compilation cache in common."""
  if CACHE not in os.environ and not hasattr(config, "workerinput"):
    _made.append(tempfile.mkdtemp(prefix="hrnet_jax_test_cache_"))
    os.environ[CACHE] = _made[0]


def pytest_unconfigure() -> None:
  """Removes the cache that this run made."""
  while _made:
    shutil.rmtree(_made.pop(), ignore_errors=True)
    del os.environ[CACHE]


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


@pytest.fixture(scope="session")
def shared() -> pathlib.Path:
  """The folder of real data and further fixtures next to the checkout; skips where it is absent."""
  path = TESTS.parents[1] / "shared"
  if not path.is_dir():
    pytest.skip(f"needs the shared folder at {path}")
  return path
