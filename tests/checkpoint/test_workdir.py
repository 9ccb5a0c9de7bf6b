"""One folder, one run: what is written, and which start is refused."""

import json

import pytest

from hrnet_jax.checkpoint.workdir import open_workdir

CONFIG = {"seed": 3, "model": {"width": 4, "modules": (1, 1, 1)}, "train": {"steps": 5}, "loss": {}}
DATASET = {"name": "streets", "fingerprint": "a" * 64}


@pytest.fixture
def run(tmp_path):
  """The folder of a run with a checkpoint."""
  path = open_workdir(tmp_path / "deep" / "run", CONFIG, DATASET)
  (path / "checkpoints" / "20").mkdir(parents=True)
  return path


def content(path):
  return {p.name: p.read_bytes() for p in sorted(path.rglob("*")) if p.is_file()}


def test_config_and_circumstances_are_written(run):
  assert json.loads((run / "config.json").read_text()) == json.loads(json.dumps(CONFIG))
  manifest = json.loads((run / "manifest.json").read_text())
  assert manifest["dataset"] == DATASET
  assert manifest["seed"] == 3
  assert manifest["devices"]["count"] == 8
  assert manifest["devices"]["platform"] == "cpu"
  assert {"jax", "flax", "numpy"} <= manifest["packages"].keys()
  assert not list(run.glob("*.tmp"))


def test_the_same_run_opens_again(run):
  before = (run / "config.json").read_bytes()
  assert open_workdir(str(run), CONFIG, DATASET) == run
  assert (run / "config.json").read_bytes() == before


def test_home_and_relative_paths_become_absolute(tmp_path, monkeypatch):
  monkeypatch.setenv("HOME", str(tmp_path))
  assert open_workdir("~/a", CONFIG, DATASET) == tmp_path / "a"
  monkeypatch.chdir(tmp_path)
  assert open_workdir("b", CONFIG, DATASET) == tmp_path / "b"


def test_every_differing_key_is_named_and_nothing_is_changed(run):
  before = content(run)
  other = {**CONFIG, "train": {"steps": 6, "log_every": 2}, "model": {"width": 4}}
  with pytest.raises(ValueError, match="belongs to a run with another config") as error:
    open_workdir(run, other, DATASET)
  lines = str(error.value).splitlines()
  assert lines[1:-1] == [
    "  config.model.modules: [1, 1, 1] there, '(absent)' now",
    "  config.train.steps: 5 there, 6 now",
  ]
  assert "choose another --workdir" in lines[-1]
  assert content(run) == before


def test_what_does_not_change_the_training_may_change(run):
  eval_ = {"batch_size": 2, "pictures": 0, "every_epochs": 3}
  other = {**CONFIG, "train": {**CONFIG["train"], "log_every": 2}, "eval": eval_}
  assert open_workdir(run, other, DATASET) == run


def test_an_empty_block_differs_from_a_full_one(run):
  with pytest.raises(ValueError, match=r"config\.loss\.ignore: '\(absent\)' there, 255 now"):
    open_workdir(run, {**CONFIG, "loss": {"ignore": 255}}, DATASET)


def test_other_data_is_refused_and_nothing_is_changed(run):
  before = content(run)
  with pytest.raises(ValueError, match=r"trained on streets with fingerprint aaaaaaaaaaaa.*bbbb"):
    open_workdir(run, CONFIG, {**DATASET, "fingerprint": "b" * 64})
  assert content(run) == before


def test_before_the_first_checkpoint_a_wrong_value_may_be_put_right(tmp_path):
  open_workdir(tmp_path, {**CONFIG, "seed": -1}, DATASET)
  (tmp_path / "checkpoints" / "20.orbax-checkpoint-tmp").mkdir(parents=True)  # never completed
  open_workdir(tmp_path, CONFIG, DATASET)
  assert json.loads((tmp_path / "config.json").read_text())["seed"] == 3
