"""Landmarks end to end: the authors' layouts -> prepare, train, evaluate by part, export.

The runs are those of `landmark_runs`; here is what they left.
"""

import csv
import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

from hrnet_jax.data import prepared
from tests.helpers import environment, face_miniatures, landmark_runs

ROOT = pathlib.Path(__file__).parents[2]
# The first normalizer, and the number of images of the split and its parts.
EXPECTED = {
  "aflw": ("box_size", {"full": 6, "frontal": 4}),
  "cofw": ("inter_ocular", {}),
  "face300w": (
    "inter_ocular",
    {"full_and_test": 10, "full": 6, "common": 3, "challenge": 3, "test": 4},
  ),
  "landmarks_csv": ("box_size", {}),
  "wflw": (
    "inter_ocular",
    {"test": 7, "pose": 2}
    | {part: len(of) for part, of in face_miniatures.WFLW_PARTS.items() if part != "largepose"},
  ),
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> pathlib.Path:
  """The folder of all runs."""
  folder = tmp_path_factory.mktemp("landmarks")
  env = os.environ | {"XLA_FLAGS": environment.xla_flags(*environment.QUICK)}
  line = [sys.executable, "-m", "tests.helpers.landmark_runs", folder]
  done = subprocess.run(
    line, cwd=ROOT, env=env, capture_output=True, text=True, timeout=900, check=False
  )
  assert done.returncode == 0, done.stderr
  return folder


def test_every_run_is_looked_at() -> None:
  assert set(EXPECTED) == set(landmark_runs.CASES)


@pytest.mark.slow
@pytest.mark.parametrize("name", EXPECTED)
def test_the_loss_falls(name, runs):
  lines = [json.loads(line) for line in (runs / name / "metrics.jsonl").read_text().splitlines()]
  losses = [line["loss"] for line in lines if line["split"] == "train"]
  assert losses[-1] < losses[0]
  (evaluated,) = (line for line in lines if line["split"] == "eval")
  report = json.loads((runs / name / "eval/metrics.json").read_text())
  assert report["nme"] == pytest.approx(evaluated["nme"], rel=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("name", EXPECTED)
def test_scores_by_part_with_the_published_normalizer(name, runs):
  normalizer, images = EXPECTED[name]
  report = json.loads((runs / name / "eval/metrics.json").read_text())
  assert next(iter(report["nme_by_normalizer"])) == normalizer
  assert report.get("images_by_part", {}) == images
  assert 0.02 < report["nme"] < 5  # six steps; it is a number of the right kind
  for file in ("examples.csv", "cumulative_error.png", "pictures/00000.png"):
    assert (runs / name / "eval" / file).is_file()


@pytest.mark.slow
@pytest.mark.parametrize("name", EXPECTED)
def test_exported_positions_have_the_reported_error(name, runs):
  settings = landmark_runs.config(name, runs)
  source = prepared.open_dataset(name, runs / "data").source(settings.data.eval_split)
  with (runs / name / "export/landmarks.csv").open(newline="") as file:
    _, *rows = csv.reader(file)
  assert [int(row[0]) for row in rows] == list(range(len(source)))
  errors = []
  for row, record in zip(rows, source, strict=True):
    assert row[1] == record["name"]
    found = np.array(row[2:], float).reshape(-1, 2)
    if settings.transform.eval.crop == "reference":
      assert (found == np.round(found)).all()
    distances = np.linalg.norm(found - record["points"], axis=1)
    errors.append(distances.mean() / record["box_size"])
  report = json.loads((runs / name / "eval/metrics.json").read_text())
  assert np.mean(errors) == pytest.approx(report["nme_by_normalizer"]["box_size"], rel=1e-4)
