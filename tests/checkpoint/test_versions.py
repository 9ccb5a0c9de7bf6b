"""Checkpoints of later versions: one line that names both, for everything that reads them."""

import json
import pathlib
import shutil
from typing import Any

import pytest

from hrnet_jax import __version__
from hrnet_jax.checkpoint import checksums, networks, versions
from hrnet_jax.checkpoint.manager import Checkpoints
from hrnet_jax.checkpoint.workdir import open_workdir
from hrnet_jax.errors import UserError
from tests.helpers import commands, states, toy
from tests.helpers.states import FACTS, small_at

BOTH = rf"written by hrnet-jax 9\.1\.0, read by hrnet-jax {__version__}"


def change_facts(folder: pathlib.Path, **values: Any) -> None:
  """Writes other facts, with their digest."""
  path, of_all = folder / "facts" / "metadata", folder / "digests" / "metadata"
  facts = json.loads(path.read_text()) | values
  path.write_text(json.dumps(facts))
  digests = json.loads(of_all.read_text())
  of_all.write_text(json.dumps(digests | checksums.digests({"facts": facts})))


@pytest.fixture
def run(tmp_path: pathlib.Path) -> pathlib.Path:
  """A workdir whose newest checkpoint is of a later format."""
  states.save(tmp_path, {1: None, 2: None}, make=small_at)
  change_facts(tmp_path / "checkpoints" / "2", version="9.1.0", format=7)
  return tmp_path


def one_line(error: Any) -> str:
  assert len(str(error.value).splitlines()) == 1
  return str(error.value)


def test_facts_say_who_wrote_them(tmp_path: pathlib.Path) -> None:
  states.save(tmp_path, {1: None}, make=small_at)
  facts = networks.load(tmp_path).facts
  assert (facts["format"], facts["version"]) == (versions.FORMAT, __version__)
  assert facts["dataset"] == FACTS["dataset"]


def test_a_later_format_is_refused_and_not_called_damaged(run: pathlib.Path) -> None:
  before = states.files_of(run)
  with pytest.raises(UserError, match=rf"checkpoints/2: {BOTH}, .*up to format 2, not 7") as error:
    networks.load(run)
  one_line(error)
  with pytest.raises(UserError, match=rf"checkpoints/2: {BOTH}") as error:
    open_workdir(run, FACTS["config"], FACTS["dataset"])
  one_line(error)
  with Checkpoints(run, facts=FACTS) as saver, pytest.raises(UserError, match=BOTH):
    saver.restore(small_at(0), toy.make_mesh(1))
  assert states.files_of(run) == before


def test_a_later_format_with_other_digests_is_none_that_is_damaged(run: pathlib.Path) -> None:
  (run / "checkpoints/2/digests/metadata").write_text('{"facts": "sha256:0"}')
  with pytest.raises(UserError, match=BOTH):
    networks.load(run)


def test_a_number_that_a_flipped_bit_made_larger_is_damage(run: pathlib.Path) -> None:
  """Where the version is not a later one."""
  path = run / "checkpoints/2/facts/metadata"
  path.write_text(path.read_text().replace("9.1.0", __version__))
  with Checkpoints(run, facts=FACTS) as saver:
    states.assert_same_bits(saver.restore(small_at(0), toy.make_mesh(1))[0], small_at(1))


def test_keys_that_only_a_later_version_knows_stop_a_run(tmp_path: pathlib.Path) -> None:
  states.save(tmp_path, {1: None}, make=small_at)
  config = json.loads(json.dumps(FACTS["config"]))
  config["model"]["attention"] = 4
  change_facts(tmp_path / "checkpoints" / "1", version="9.1.0", config=config)
  message = rf"{BOTH}, which knows nothing of config\.model\.attention; update it"
  with pytest.raises(UserError, match=message) as error:
    open_workdir(tmp_path, FACTS["config"], FACTS["dataset"])
  one_line(error)


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
  """A run's folder with step 0, and a photo."""
  return toy.export_network_and_photo(tmp_path_factory.mktemp("network"))


def changed_config(change: str) -> dict[str, Any]:
  config = json.loads(json.dumps(toy.get_config().to_dict()))
  if change == "unknown":
    config["model"]["attention"] = 4
  else:
    del config["model"]["width"]
  return config


@pytest.mark.parametrize(("change", "named"), [("unknown", "attention"), ("missing", "width")])
@pytest.mark.parametrize("command", ["predict", "export", "convert"])
def test_commands_name_both_versions(
  network: pathlib.Path, tmp_path: pathlib.Path, command: str, change: str, named: str
) -> None:
  shutil.copytree(network / "run", tmp_path / "run")
  step = tmp_path / "run/checkpoints/0"
  change_facts(step, version="9.1.0", config=changed_config(change))
  options = {
    "predict": [f"--input={network / 'photo.png'}", f"--output={tmp_path / 'out'}"],
    "export": [f"--output={tmp_path / 'out'}"],
    "convert": [f"--to_torch={tmp_path / 'out.npz'}"],
  }
  done = commands.here(command, f"--checkpoint={tmp_path / 'run'}", *options[command])
  assert done.returncode == 1
  (line,) = done.stderr.splitlines()
  assert str(step) in line
  assert "written by hrnet-jax 9.1.0" in line
  assert f"read by hrnet-jax {__version__}" in line
  assert named in line
