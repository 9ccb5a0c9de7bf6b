"""Classification from the command line: train, evaluate, predict, on single shapes."""

import csv
import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest

from hrnet_jax.data import images, prepared
from hrnet_jax.tasks.classification.views import each_object
from tests.helpers import commands

ROOT = pathlib.Path(__file__).parents[2]
CONFIG = ROOT / "tests/helpers/toy_classification.py"


def run(*line: object) -> str:
  done = commands.here(*line)
  assert done.returncode == 0, done.stderr
  return done.stdout


def test_train_evaluate_predict(tmp_path, shapes, one_device):
  workdir = tmp_path / "run"
  options = [f"--config={CONFIG}", f"--workdir={workdir}", f"--config.data.data_dir={shapes}"]
  run("train", *options)
  lines = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
  losses = [line["loss"] for line in lines if line["split"] == "train"]
  assert losses[-1] < losses[0]

  table = run("eval", *options)
  assert "kite" in table
  report = json.loads((workdir / "eval/metrics.json").read_text())
  view = each_object(prepared.open_dataset("shapes", shapes))
  assert report["images"] == view.splits()["val"]
  assert sum(report["support"].values()) == report["images"]
  assert 0.15 < report["top1"] <= 1
  evaluated = [line for line in lines if line["split"] == "eval"][-1]
  assert report["top1"] == pytest.approx(evaluated["top1"], abs=1e-3)
  assert len(list((workdir / "eval/pictures").iterdir())) == 16

  photo = tmp_path / "photo.png"
  photo.write_bytes(images.encode_png(np.full((90, 130, 3), 120, np.uint8)))
  run("predict", f"--checkpoint={workdir}", f"--input={photo}",
      f"--output={tmp_path / 'out'}")  # fmt: skip
  with (tmp_path / "out/predictions.csv").open(newline="") as file:
    _, row = csv.reader(file)
  assert sorted(row[1::2]) == ["box", "disc", "kite", "star", "triangle"]
  assert sum(map(float, row[2::2])) == pytest.approx(1, abs=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("variant", ["w18", "w64"])
def test_configs_that_import_others_load_on_the_command_line(variant, tmp_path):
  done = subprocess.run(
    [sys.executable, "train.py", f"--config=configs/classification/imagenet.py:{variant}",
     f"--workdir={tmp_path / 'run'}", f"--config.data.data_dir={tmp_path}"],
    cwd=ROOT, capture_output=True, text=True, timeout=300, check=False,
  )  # fmt: skip
  assert done.returncode != 0
  assert "'image_folder_classification/imagenet' is not prepared" in done.stderr
