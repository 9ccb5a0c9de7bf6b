"""One folder, one run: what is written, and which start is refused."""

import json

import numpy as np
import pytest

from hrnet_jax.checkpoint import networks, workdir
from hrnet_jax.checkpoint.manager import Checkpoints
from hrnet_jax.checkpoint.workdir import open_workdir
from hrnet_jax.errors import UserError
from tests.helpers.states import state_at

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
  other = {**CONFIG, "train": {"steps": 4, "log_every": 2}, "model": {"width": 4}}
  with pytest.raises(ValueError, match="belongs to a run with another config") as error:
    open_workdir(run, other, DATASET)
  lines = str(error.value).splitlines()
  assert lines[1:-1] == [
    "  config.model.modules: [1, 1, 1] there, '(absent)' now",
    "  config.train.steps: 5 there, 4 now (the schedule goes by the length: the rest of its curve "
    "changes)",
  ]
  assert lines[-1] == (
    "go on with the same config (model.modules cannot change within a run), or choose another "
    "--workdir"
  )
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


def with_values(**values):
  """CONFIG with an optimizer, and with further values by section."""
  optimizer = {"name": "sgd", "learning_rate": 0.1, "schedule": {"name": "poly", "power": 0.9}}
  return {**CONFIG, "optimizer": optimizer} | values


@pytest.fixture
def poly_run(tmp_path):
  path = open_workdir(tmp_path / "poly", with_values(), DATASET)
  (path / "checkpoints" / "20").mkdir(parents=True)
  return path


def slower():
  return with_values(optimizer={**with_values()["optimizer"], "learning_rate": 0.01})


def test_a_run_may_get_longer_where_its_rate_does_not_depend_on_that(run):
  longer = {**CONFIG, "train": {"steps": 9}}
  open_workdir(run, longer, DATASET, length_matters=False)
  with pytest.raises(UserError, match=r"allow the changes with --allow_changes=train\.steps"):
    open_workdir(run, CONFIG, DATASET, length_matters=False)  # shorter
  assert json.loads((run / "config.json").read_text())["train"] == {"steps": 9}


def test_a_longer_run_with_another_curve_needs_the_flag(poly_run):
  longer = with_values(train={"steps": 9})
  with pytest.raises(UserError) as error:
    open_workdir(poly_run, longer, DATASET)
  assert str(error.value).splitlines()[1:] == [
    "  config.train.steps: 5 there, 9 now (the schedule goes by the length: the rest of its curve "
    "changes)",
    "go on with the same config, allow the changes with --allow_changes=train.steps, or choose "
    "another --workdir",
  ]
  assert open_workdir(poly_run, longer, DATASET, allow_changes=["train.steps"]) == poly_run


def test_a_second_phase_stays_where_it_is(tmp_path):
  phases = {"steps": 5, "fine_tune": {"epochs": 2}}
  path = open_workdir(tmp_path / "phases", {**CONFIG, "train": phases}, DATASET)
  (path / "checkpoints" / "3").mkdir(parents=True)
  longer = {**CONFIG, "train": {**phases, "steps": 9}}
  with pytest.raises(UserError, match=r"\(train\.steps cannot change within a run\)"):
    open_workdir(path, longer, DATASET, allow_changes=["train.steps"])


def test_an_allowed_change_is_noted_and_holds_from_then_on(poly_run):
  with pytest.raises(UserError, match=r"--allow_changes=optimizer\.learning_rate, or choose"):
    open_workdir(poly_run, slower(), DATASET, allow_changes=["optimizer.schedule"])
  open_workdir(poly_run, slower(), DATASET, allow_changes=["config.optimizer.learning_rate"])
  assert json.loads((poly_run / "config.json").read_text())["optimizer"]["learning_rate"] == 0.01
  open_workdir(poly_run, slower(), DATASET)  # the history stays
  (change,) = json.loads((poly_run / "manifest.json").read_text())["changes"]
  assert change["step"] == 20
  assert change["values"] == {"optimizer.learning_rate": {"old": 0.1, "new": 0.01}}
  assert change["config"] == json.loads(json.dumps(with_values()))
  with pytest.raises(UserError, match=r"learning_rate: 0\.01 there, 0\.1 now"):
    open_workdir(poly_run, with_values(), DATASET)


def test_what_is_below_an_allowed_key_is_allowed(poly_run):
  other = with_values()
  other["optimizer"]["schedule"] = {"name": "step", "milestones": [3]}
  open_workdir(poly_run, other, DATASET, allow_changes=["optimizer.schedule"])
  manifest = json.loads((poly_run / "manifest.json").read_text())
  assert sorted(manifest["changes"][0]["values"]) == [
    "optimizer.schedule.milestones",
    "optimizer.schedule.name",
    "optimizer.schedule.power",
  ]


@pytest.mark.parametrize("key", ["model.width", "seed", "optimizer", "optimizer.learning"])
def test_keys_that_shape_the_run_cannot_be_allowed(tmp_path, key):
  with pytest.raises(UserError, match=f"allow_changes: '{key}' is not among the keys"):
    open_workdir(tmp_path / "none", CONFIG, DATASET, allow_changes=[key])
  assert not (tmp_path / "none").exists()


def test_keys_that_are_free_need_no_flag(tmp_path):
  with pytest.raises(UserError, match=r"'eval\.batch_size' .* \(it may change without the flag\)"):
    open_workdir(tmp_path, CONFIG, DATASET, allow_changes=["eval.batch_size"])


@pytest.fixture
def saved(tmp_path):
  """The folder of a run whose checkpoint says what it is."""
  config = json.loads(json.dumps(with_values()))
  path = open_workdir(tmp_path / "saved", config, DATASET)
  facts = {"config": config, "dataset": DATASET}
  (path / "checkpoints").mkdir()
  networks.export(path / "net", {"params": {"w": np.zeros(3, np.float32)}}, facts)
  (path / "net" / "checkpoints" / "0").rename(path / "checkpoints" / "0")
  (path / "checkpoints" / "0" / "training").mkdir()  # of a run
  return path


def wrong_seed():
  return with_values(seed=4)


@pytest.mark.parametrize(
  "lost", [["config.json"], ["manifest.json"], ["config.json", "manifest.json"]]
)
def test_what_is_lost_is_written_again_by_the_checkpoint(saved, capsys, lost):
  before = content(saved)
  for name in lost:
    (saved / name).unlink()
  for refused in (wrong_seed(), slower()):
    with pytest.raises(UserError, match="belongs to a run with another config"):
      open_workdir(saved, refused, DATASET)
  with pytest.raises(UserError, match=r"trained on streets with fingerprint aaaaaaaaaaaa.*bbbb"):
    open_workdir(saved, with_values(), {**DATASET, "fingerprint": "b" * 64})
  assert not any((saved / name).exists() for name in lost)
  open_workdir(saved, with_values(), DATASET)
  assert content(saved)["config.json"] == before["config.json"]
  manifests = [json.loads(x["manifest.json"]) for x in (before, content(saved))]
  assert manifests[0]["dataset"] == manifests[1]["dataset"]
  said = capsys.readouterr().err
  for name in lost:
    assert (
      f"{saved / name} was lost; it is written again, by what {saved}/checkpoints/0 says" in said
    )
  assert len(said.splitlines()) == len(lost)


@pytest.mark.parametrize("text", ["", "{}", "[]", "{", "[" * 100_000])
@pytest.mark.parametrize("name", ["manifest.json", "config.json"])
def test_what_is_damaged_is_written_again_by_the_checkpoint(saved, capsys, name, text):
  (saved / name).write_text(text)
  open_workdir(saved, with_values(), DATASET)
  said = capsys.readouterr().err
  assert f"{saved / name}" in said
  assert "it is written again, by what" in said
  assert json.loads((saved / name).read_text())["seed"] == 3


@pytest.mark.parametrize("name", ["manifest.json", "config.json"])
def test_files_that_contradict_the_checkpoint_are_named(saved, name):
  values = json.loads((saved / name).read_text())
  if name == "config.json":
    values["seed"], values["optimizer"]["learning_rate"] = 4, 0.5
    lines = [
      f"{saved}/config.json contradicts {saved}/checkpoints/0/facts:",
      "  config.optimizer.learning_rate: 0.1 in the checkpoint, 0.5 in the file",
      "  config.seed: 3 in the checkpoint, 4 in the file",
      "remove the file to go on with the values of the checkpoint, or restore the right one",
    ]
  else:
    values["dataset"]["fingerprint"] = "c" * 64
    lines = [
      f"dataset.fingerprint is cccccccccccc in {saved}/manifest.json, but aaaaaaaaaaaa in "
      f"{saved}/checkpoints/0/facts; remove the first to go on with the data of the checkpoint"
    ]
  (saved / name).write_text(json.dumps(values))
  before = content(saved)
  for config in (with_values(), wrong_seed()):
    with pytest.raises(UserError) as error:
      open_workdir(saved, config, DATASET)
    assert str(error.value).splitlines() == lines
  assert content(saved) == before
  (saved / name).unlink()
  open_workdir(saved, with_values(), DATASET)


def test_changes_that_were_allowed_or_are_free_contradict_nothing(saved):
  free = with_values(eval={"pictures": 1})
  open_workdir(saved, free, DATASET)
  changed = slower() | {"eval": {"pictures": 2}}
  open_workdir(saved, changed, DATASET, allow_changes=["optimizer.learning_rate"])
  open_workdir(saved, changed, DATASET)  # before the next checkpoint
  with pytest.raises(UserError, match=r"learning_rate: 0\.01 there, 0\.1 now"):
    open_workdir(saved, with_values(), DATASET)
  (saved / "config.json").unlink()
  open_workdir(saved, changed, DATASET)  # the manifest has it, too
  assert len(json.loads((saved / "manifest.json").read_text())["changes"]) == 2


def test_facts_that_steer_a_run_stay_the_same_whatever_the_fingerprint(tmp_path):
  named = {**DATASET, "class_names": ["road", "sky"]}
  run = open_workdir(tmp_path / "run", CONFIG, named)
  facts = {"config": json.loads(json.dumps(CONFIG)), "dataset": named}
  with Checkpoints(run, facts=facts) as saver:
    saver.save(state_at(1), {"next_batch": 1})
    saver.finish()
  assert open_workdir(run, CONFIG, named) == run
  assert open_workdir(run, CONFIG, DATASET) == run  # as data of earlier versions, without the key
  with pytest.raises(UserError, match="trained on streets with other class_names than"):
    open_workdir(run, CONFIG, {**named, "class_names": ["sky", "road"]})


def test_damaged_facts_leave_it_to_the_files(saved):
  (saved / "checkpoints/0/facts/metadata").write_text("{")
  open_workdir(saved, with_values(), DATASET)
  with pytest.raises(UserError, match=r"config\.seed: 3 there, 4 now"):
    open_workdir(saved, wrong_seed(), DATASET)


@pytest.mark.parametrize("content", ["{}", "[]", "{", "[" * 100_000, '{"dataset": 3}'])
@pytest.mark.parametrize("name", ["manifest.json", "config.json"])
def test_damaged_files_are_named(run, name, content):
  (run / name).write_text(content)
  reasons = "is damaged|does not say|: not valid JSON|: JSON that is nested"
  with pytest.raises(UserError, match=rf"\.json ?({reasons})|another config"):
    open_workdir(run, CONFIG, DATASET)


def test_a_refusal_in_another_process_is_one_here(run, monkeypatch):
  monkeypatch.setattr(workdir.collectives, "all_processes", lambda flag: False)
  before = content(run)
  with pytest.raises(UserError, match="another process refuses to go on"):
    open_workdir(run, {**CONFIG, "eval": {"pictures": 1}}, DATASET)
  assert content(run) == before
