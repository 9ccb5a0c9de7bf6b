"""Detection end to end: train, evaluate, predict; photos show what evaluation found."""

import json
import os
import pathlib
import subprocess
import sys

import cv2
import numpy as np
import pytest

from hrnet_jax.evaluation import score
from hrnet_jax.ops import rle
from hrnet_jax.training import loop
from tests.helpers import commands, environment, toy_detection

ROOT = pathlib.Path(__file__).parents[2]
PHOTOS = {"a": 10, "b": 20, "c": 30, "d": 40}  # and their ids


def run(module: str, folder: pathlib.Path) -> str:
  """The output of a program."""
  env = os.environ | {"XLA_FLAGS": environment.xla_flags(*environment.QUICK)}
  line = [sys.executable, "-m", module, folder]
  done = subprocess.run(
    line, cwd=ROOT, env=env, capture_output=True, text=True, timeout=900, check=False
  )
  assert done.returncode == 0, done.stderr
  return done.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> pathlib.Path:
  """Where everything is: a run of two steps from random weights, its scores, and its photos."""
  folder = tmp_path_factory.mktemp("detection")
  config = toy_detection.get_config()
  config.data.data_dir = str(folder)
  config.init_from = str(
    toy_detection.store(folder / "stored", toy_detection.prepare(folder).facts())
  )
  config.train.update({"epochs": 0, "steps": 2, "log_every": 1})
  with commands.one_device():
    loop.train(config, folder / "run")
    score.score(config, folder / "run", export=folder / "results")
    photos, output = f"--input={folder / 'coco/val'}", f"--output={folder / 'photos'}"
    done = commands.here("predict", f"--checkpoint={folder / 'run'}", photos, output)
  assert done.returncode == 0, done.stderr
  assert "4 of 4 photos done" in done.stdout
  return folder


def test_every_step_has_a_loss(folder):
  lines = [json.loads(line) for line in (folder / "run/metrics.jsonl").read_text().splitlines()]
  losses = [line["loss"] for line in lines if line["split"] == "train"]
  assert len(losses) == 2
  assert np.isfinite(losses).all()
  assert (folder / "run/checkpoints/2").is_dir()


def test_photos_show_what_evaluation_found(folder):
  """The one folds the norms and sees a photo at a time, the other neither."""
  boxes, masks = (
    json.loads((folder / "results" / f"{name}.json").read_text()) for name in ("boxes", "masks")
  )
  for name, number in PHOTOS.items():
    facts = json.loads((folder / "photos" / f"{name}_objects.json").read_text())
    found = facts["objects"]
    expected, shapes = ([x for x in rows if x["image_id"] == number] for rows in (boxes, masks))
    assert len(found) == len(expected) == len(shapes) == 10
    columns = zip(found, expected, shapes, strict=True)
    for ours, box, shape in columns:
      assert {"cat": 7, "dog": 3, "mug": 90}[ours["class"]] == box["category_id"]
      assert ours["score"] == pytest.approx(box["score"], abs=1e-4)
      assert ours["bbox"] == pytest.approx(box["bbox"], abs=0.02)
      size = tuple(ours["segmentation"]["size"])
      pair = (rle.decode(x["segmentation"]["counts"], size) for x in (ours, shape))
      assert np.mean(np.not_equal(*pair)) < 0.01
    picture = cv2.imread(str(folder / "photos" / f"{name}_objects.png"))
    assert picture.shape == (facts["height"], facts["width"], 3)


def test_evaluation_leaves_figures_and_pictures(folder):
  report = json.loads((folder / "run/eval/metrics.json").read_text())
  assert (report["images"], report["data"], report["split"]) == (4, "coco/miniature", "val")
  assert set(report["class_AP"]) == {"dog", "cat", "mug"}
  assert 0 <= report["AP"] <= 1
  assert 0 <= report["mask_AP50"] <= 1
  for file in ("examples.csv", "pictures/00000.png", "worst/00001.png"):
    assert (folder / "run/eval" / file).is_file(), file


@pytest.mark.slow
def test_nothing_is_compiled_after_the_first_epoch(tmp_path):
  """Steps and validations on two canvases have their programs by then, and checkpoints theirs."""
  found = json.loads(run("tests.helpers.detection_training", tmp_path).splitlines()[-1])
  first = {tuple(shape) for shape in found["shapes"][:2]}
  assert first == {(2, 64, 96, 3), (2, 96, 64, 3)}
  assert {tuple(shape) for shape in found["shapes"][2:]} == first
  before, *later = found["after"]
  assert before >= 4  # a step and a validation for each canvas
  assert len(later) == 2
  assert {*later, found["end"]} == {before}
  assert len(list((tmp_path / "run/checkpoints").iterdir())) > 1
