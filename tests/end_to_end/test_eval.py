"""Training, then eval and predict: table, numbers and pictures of a checkpoint."""

import json

import cv2
import numpy as np
import pytest

from tests.helpers import commands, toy


def command(name, data, *options):
  """A command in this process."""
  with commands.one_device(), pytest.MonkeyPatch.context() as patch:
    patch.setenv("HRNET_JAX_DATA", str(data))
    return commands.here(name, *options)


def score(data, workdir, *options):
  return command(
    "eval", data, f"--config={toy.ROOT / toy.CONFIG}", f"--workdir={workdir}", *options
  )


@pytest.fixture(scope="module")
def run(tmp_path_factory, data):
  """The workdir of a run; step 20 has no score, step 60 is the best."""
  workdir = tmp_path_factory.mktemp("run")
  options = f"--config={toy.ROOT / toy.CONFIG}", "--config.checkpoint.keep_last=3"
  result = command("train", data, *options, f"--workdir={workdir}")
  assert result.returncode == 0, result.stderr
  return workdir


@pytest.fixture(scope="module")
def scored(run, data):
  """Output of the command, and its numbers."""
  result = score(data, run)
  assert result.returncode == 0, result.stderr
  return result, json.loads((run / "eval" / "metrics.json").read_text())


def last_validation(workdir):
  return json.loads((workdir / "metrics.jsonl").read_text().splitlines()[-1])


def test_numbers_are_those_of_the_last_validation(run, scored):
  metrics, validation = scored[1], last_validation(run)
  for key in ("mean_iou", "pixel_accuracy", "mean_accuracy", "iou", "support", "pixels"):
    assert metrics[key] == validation[key], key
  assert metrics["mean_iou"] == pytest.approx(sum(metrics["iou"].values()) / 3)
  assert metrics["mean_iou"] > 0.33
  assert list(metrics["iou"]) == ["ground", "light", "red"]


def test_numbers_say_where_they_come_from(run, scored, data):
  metrics = scored[1]
  assert metrics["checkpoint"] == str(run / "checkpoints" / "60")
  assert (metrics["step"], metrics["data"], metrics["split"]) == (60, toy.NAME, "val")
  assert metrics["fingerprint"] == toy.prepared.open_dataset(toy.NAME, data).fingerprint


def test_table_has_every_class_and_the_means_in_percent(scored):
  result, metrics = scored
  rows = {line.rsplit(maxsplit=2)[0]: line.split() for line in result.stdout.splitlines()[:4]}
  for name, iou in metrics["iou"].items():
    assert float(rows[name][1]) == pytest.approx(100 * iou, abs=0.006)
  assert f"{100 * metrics['mean_iou']:.2f}" in result.stdout
  assert "Warning" not in result.stderr
  assert "W1" not in result.stderr


def test_pictures_show_the_first_examples(run, scored):
  assert scored[0].returncode == 0
  paths = sorted((run / "eval" / "pictures").iterdir())
  assert [p.name for p in paths] == ["00000.png", "00001.png"]
  pictures = [cv2.imread(str(p)) for p in paths]
  for picture in pictures:
    assert picture.shape[0] >= 64
    assert picture.shape[1] >= 3 * 64  # image, prediction, truth
    assert picture.std() > 10
  assert pictures[0].shape != pictures[1].shape or (pictures[0] != pictures[1]).any()


@pytest.mark.slow
def test_another_checkpoint_and_eight_devices(run, scored, data, tmp_path):
  best = scored[1]
  path = run / "checkpoints" / "20"
  result = toy.run("eval.py", data, tmp_path, f"--checkpoint={path}", devices=8)
  assert result.returncode == 0, result.stderr
  metrics = json.loads((tmp_path / "eval" / "metrics.json").read_text())
  assert (metrics["checkpoint"], metrics["step"]) == (str(path), 20)
  assert metrics["pixels"] == best["pixels"]
  assert metrics["iou"] != best["iou"]


@pytest.mark.slow
def test_another_runs_workdir_stands_for_its_best(run, scored, data, tmp_path):
  result = toy.run("eval.py", data, tmp_path, f"--checkpoint={run}", devices=8)
  assert result.returncode == 0, result.stderr
  metrics = json.loads((tmp_path / "eval" / "metrics.json").read_text())
  assert metrics["step"] == 60
  # Eight devices may round the logits of a few pixels differently.
  assert metrics["mean_iou"] == pytest.approx(scored[1]["mean_iou"], abs=1e-3)


def test_a_photo_is_labelled(run, data, tmp_path):
  photo = data / "source/images/val/00.png"
  result = command(
    "predict", data, f"--checkpoint={run}", f"--input={photo}", f"--output={tmp_path}"
  )
  assert result.returncode == 0, result.stderr
  label = cv2.imread(str(tmp_path / "00_labels.png"), cv2.IMREAD_UNCHANGED)
  assert label.shape == (64, 64)
  assert set(np.unique(label)) <= {0, 1, 2}
  assert len(np.unique(label)) > 1
  height, width, _ = cv2.imread(str(tmp_path / "00_overlay.png")).shape  # with a key, enlarged
  assert min(height, width) >= 64


def test_another_model_is_refused(run, data):
  result = score(data, run, "--config.model.width=8")
  assert result.returncode != 0
  assert "model.width: 4 in the checkpoint, 8 in the config" in result.stderr
  assert "Traceback" not in result.stderr


def test_no_checkpoint_is_said(data, tmp_path):
  result = score(data, tmp_path)
  assert result.returncode != 0
  assert f"{tmp_path} holds no checkpoint" in result.stderr
  assert "Traceback" not in result.stderr
