"""Training runs: killed ones end with the same bits, and mistakes with a message."""

import json
import signal

import jax
import numpy as np
import pytest

from hrnet_jax.checkpoint import networks
from tests.helpers import commands, pods, toy
from tests.helpers.pods import final_state, logged, saved


@pytest.fixture(scope="module")
def straight(tmp_path_factory, data):
  """Workdir and output of a run from the first step to the last."""
  workdir = tmp_path_factory.mktemp("straight")
  return workdir, toy.run("train.py", data, workdir)


@pytest.fixture(scope="module")
def killed(tmp_path_factory, data):
  """A workdir after SIGKILL, a new start, SIGTERM and a last start; what each left behind."""
  workdir, history = tmp_path_factory.mktemp("killed"), {}
  history["kill"] = interrupt(data, workdir, signal.SIGKILL, after=20)
  history["term"] = interrupt(data, workdir, signal.SIGTERM, after=history["kill"]["steps"][-1] + 1)
  history["end"] = toy.run("train.py", data, workdir)
  return workdir, history


def interrupt(data, workdir, number, *, after):
  """Starts, and sends a signal when a later step than `after`, and its checkpoint, are there."""
  started = pods.start("train.py", data, workdir, processes=1, devices=1)
  pods.wait_for_step(workdir, after + 1, started)
  started[0].send_signal(number)
  ((code, said),) = pods.finish(started, timeout=120)
  return {"code": code, "said": said, "steps": logged(workdir), "saved": saved(workdir)}


def lines(workdir):
  path = workdir / "metrics.jsonl"
  return path.read_text().splitlines() if path.exists() else []


def losses(workdir) -> list[float]:
  entries = map(json.loads, lines(workdir))
  return [e["loss"] for e in entries if e["split"] == "train"]


def content(folder):
  """Every file but the records of who had the folder."""
  files = (p for p in sorted(folder.rglob("*")) if p.is_file())
  return {p: p.read_bytes() for p in files if p.parent.name != ".owner"}


def assert_plain(result, *texts):
  """The command failed with a message that has the texts, and without a traceback."""
  assert result.returncode != 0
  assert "Traceback" not in result.stderr
  for text in texts:
    assert text in result.stderr


def test_a_run_learns_and_leaves_its_files(straight):
  workdir, result = straight
  assert result.returncode == 0, result.stderr
  assert "from scratch" in result.stderr
  assert f"everything goes to {workdir}" in result.stderr
  assert "step 60/60" in result.stderr
  assert np.mean(losses(workdir)[-5:]) < 0.5 * np.mean(losses(workdir)[:5])
  names = {"config.json", "manifest.json", "metrics.jsonl", "parameters.txt"}
  assert names <= {p.name for p in workdir.iterdir()}
  assert list((workdir / "tensorboard").iterdir())
  assert saved(workdir) == [40, 60]
  assert "head" in (workdir / "parameters.txt").read_text()


def test_nothing_unexpected_is_said(straight):
  said = straight[1].stderr
  assert "Warning" not in said
  assert "W1" not in said  # absl and XLA begin their warnings with W and the date


def test_the_log_has_rates_epochs_and_the_validation(straight):
  entries = [json.loads(line) for line in lines(straight[0])]
  train, last = [e for e in entries if e["split"] == "train"], entries[-1]
  assert [e["step"] for e in train] == list(range(1, 61))
  assert train[0]["lr"] == train[1]["lr"] == pytest.approx(0.05)
  assert train[40]["lr"] == pytest.approx(0.05 * (1 - 39 / 60) ** 0.9)
  assert train[59]["epoch"] == 40
  assert (last["step"], last["split"]) == (60, "eval")
  assert 0.33 < last["mean_iou"] <= 1
  assert last["pixels"] == toy.NUM_VAL * 64 * 63


def test_sigkill_leaves_complete_checkpoints(killed):
  kill = killed[1]["kill"]
  assert kill["code"] == -signal.SIGKILL
  assert kill["saved"][0] == 20
  assert kill["steps"][-1] > kill["saved"][-1]  # steps were lost


def test_sigterm_saves_and_ends_well(killed):
  kill, term = killed[1]["kill"], killed[1]["term"]
  assert term["code"] == 0, term["said"]
  assert f"going on from step {kill['saved'][-1]}" in term["said"]
  last = term["saved"][-1]
  assert last == term["steps"][-1]
  assert last < 60
  assert f"SIGTERM: saving step {last}" in term["said"]


def test_the_same_command_goes_on_to_the_end(killed):
  end = killed[1]["end"]
  assert end.returncode == 0, end.stderr
  assert f"going on from step {killed[1]['term']['saved'][-1]}" in end.stderr


def test_interrupted_is_straight_bit_for_bit(straight, killed):
  expected, position = final_state(straight[0])
  state, where = final_state(killed[0])
  assert state.step == 60
  assert where == position == {"next_batch": 60}
  jax.tree.map(np.testing.assert_array_equal, jax.device_get(state), jax.device_get(expected))


def test_the_log_of_an_interrupted_run_is_that_of_a_straight_one(straight, killed):
  assert logged(killed[0]) == list(range(1, 61))
  assert losses(killed[0]) == losses(straight[0])
  ends = [json.loads(lines(x)[-1]) for x in (killed[0], straight[0])]
  assert ends[0]["iou"] == ends[1]["iou"]


def test_a_finished_run_does_nothing_more(straight, data):
  workdir, before = straight[0], lines(straight[0])
  result = toy.run("train.py", data, workdir)
  assert result.returncode == 0, result.stderr
  assert lines(workdir) == before
  assert saved(workdir) == [40, 60]


def test_another_config_is_refused_and_nothing_is_changed(straight, data):
  workdir = straight[0]
  before = content(workdir)
  options = ("--config.optimizer.learning_rate=0.01", "--config.train.batch_size=4")
  result = toy.run("train.py", data, workdir, *options)
  assert_plain(
    result,
    "config.optimizer.learning_rate: 0.05 there, 0.01 now",
    "config.train.batch_size: 8 there, 4 now",
    "--workdir",
  )
  assert content(workdir) == before


@pytest.mark.slow
@pytest.mark.parametrize(
  ("rate", "good"),
  [("1e30", [1]), ("1e38", [])],  # the loss of step 2; the weights already in step 1
  ids=["loss", "weights"],
)
def test_divergence_ends_with_the_step_and_leaves_no_bad_checkpoint(tmp_path, data, rate, good):
  options = f"--config.optimizer.learning_rate={rate}", "--config.checkpoint.every_steps=1"
  result = toy.run("train.py", data, tmp_path, *options)
  assert_plain(result, "step 2: the loss is nan" if good else "step 1: ")
  assert saved(tmp_path) == good
  if good:
    assert f"last good checkpoint is {tmp_path / 'checkpoints' / '1'}" in result.stderr
    weights = jax.tree.leaves(networks.load(tmp_path).variables)
    assert all(np.isfinite(x).all() for x in weights)
  else:
    assert "no checkpoint was written before" in result.stderr


@pytest.mark.parametrize(
  ("options", "texts"),
  [
    (["--config.train.stepz=3"], ["no key 'stepz'", '"steps"']),
    (["--config.trian.steps=3"], ["no key 'trian'", '"train"']),
    (["--config=tests/no_such.py"], ["tests/no_such.py"]),
    (["--config.data.name=toys"], ["unknown data set 'toys'", "camvid", "shapes"]),
    (["--config.data.train_split=trian"], ["no split 'trian'", "train, val"]),
    (["--config.optimizer.name=sgdd"], ["unknown optimizer 'sgdd'"]),
    (["--config.train.accumulate=3"], ["train.batch_size is 8, not a multiple of 24: 8 devices"]),
    (["--config.mesh.data=3"], ["does not cover the 8 devices"]),
    (
      ["--config=quickstart", "--config.model.variant=w19", f"--config.data.name={toy.NAME}"],
      ["unknown variant 'w19'", "w18", "w48"],
    ),
  ],
  ids=lambda x: x[-1] if x[0].startswith("--") else "",
)
def test_mistakes_end_with_a_message(tmp_path, data, monkeypatch, options, texts):
  monkeypatch.setenv("HRNET_JAX_DATA", str(data))
  monkeypatch.chdir(toy.ROOT)
  config = [] if options[0].startswith("--config=") else [f"--config={toy.CONFIG}"]
  result = commands.here("train", *config, f"--workdir={tmp_path / 'run'}", *options)
  assert_plain(result, *texts)
  assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_wrong_value_may_be_put_right_in_the_same_workdir(tmp_path, data):
  result = toy.run("train.py", data, tmp_path, "--config.transform.train.crop_size=(0,64)")
  assert_plain(result, "transform.crop_size is (0, 64)")
  result = toy.run("train.py", data, tmp_path)
  assert result.returncode == 0, result.stderr


@pytest.mark.slow
def test_eight_devices_train_as_one(tmp_path, data):
  # Small steps: the toy amplifies rounding, and at its own rate a hundredfold with each step.
  options = "--config.train.steps=4", "--config.optimizer.learning_rate=1e-4"
  for devices in (1, 8):
    workdir = tmp_path / str(devices)
    result = toy.run("train.py", data, workdir, *options, devices=devices)
    assert result.returncode == 0, result.stderr
    assert json.loads((workdir / "manifest.json").read_text())["devices"]["count"] == devices
  assert len(set(losses(tmp_path / "1"))) == 4
  np.testing.assert_allclose(losses(tmp_path / "8"), losses(tmp_path / "1"), rtol=1e-4)
  one, eight = (json.loads(lines(tmp_path / x)[-1]) for x in "18")
  assert eight["support"] == one["support"]
  assert eight["mean_iou"] == pytest.approx(one["mean_iou"], abs=1e-3)
