"""Landmarks end to end: the authors' layouts -> prepare, train, evaluate by part, export.

The runs are those of `landmark_runs`; here is what they left.
"""

from collections.abc import Callable
import csv
import functools
import json
import pathlib

import numpy as np
import pytest

from hrnet_jax.data import prepared
from tests.helpers import commands, face_miniatures, landmark_runs
from tests.helpers.marks import slow_but

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


# One stands for all where minutes count.
each_run = pytest.mark.parametrize("name", slow_but(EXPECTED, "landmarks_csv"))


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Callable[[str], pathlib.Path]:
  """`runs(name)` -> the folder of a run, which is made when it is first asked for."""
  folder = tmp_path_factory.mktemp("landmarks")

  @functools.cache
  def run(name: str) -> pathlib.Path:
    with commands.one_device():
      landmark_runs.run(name, folder)
    return folder / name

  return run


def test_every_run_is_looked_at() -> None:
  assert set(EXPECTED) == set(landmark_runs.CASES)


@each_run
def test_the_loss_falls(name, runs):
  lines = [json.loads(line) for line in (runs(name) / "metrics.jsonl").read_text().splitlines()]
  losses = [line["loss"] for line in lines if line["split"] == "train"]
  assert losses[-1] < losses[0]
  (evaluated,) = (line for line in lines if line["split"] == "eval")
  report = json.loads((runs(name) / "eval/metrics.json").read_text())
  assert report["nme"] == pytest.approx(evaluated["nme"], rel=1e-6)


@each_run
def test_scores_by_part_with_the_published_normalizer(name, runs):
  normalizer, images = EXPECTED[name]
  report = json.loads((runs(name) / "eval/metrics.json").read_text())
  assert next(iter(report["nme_by_normalizer"])) == normalizer
  assert report.get("images_by_part", {}) == images
  assert 0.02 < report["nme"] < 5  # six steps; it is a number of the right kind
  for file in ("examples.csv", "cumulative_error.png", "pictures/00000.png"):
    assert (runs(name) / "eval" / file).is_file()


@each_run
def test_exported_positions_have_the_reported_error(name, runs):
  settings = landmark_runs.config(name, runs(name).parent)
  source = prepared.open_dataset(name, runs(name).parent / "data").source(settings.data.eval_split)
  with (runs(name) / "export/landmarks.csv").open(newline="") as file:
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
  report = json.loads((runs(name) / "eval/metrics.json").read_text())
  assert np.mean(errors) == pytest.approx(report["nme_by_normalizer"]["box_size"], rel=1e-4)


def test_a_photo_is_marked(runs, tmp_path):
  folder = runs("landmarks_csv")
  photo = next(folder.parent.glob("source/landmarks_csv/mine/images/val_0.jpg"))
  done = commands.here(
    "predict", f"--checkpoint={folder}", f"--input={photo}", f"--output={tmp_path}"
  )
  assert done.returncode == 0, done.stderr
  with (tmp_path / "predictions.csv").open(newline="") as file:
    _, row = csv.reader(file)
  assert row[0] == "val_0.jpg"
  assert len(row) == 1 + 4 + 2 * 5  # a box, and five landmarks
  assert np.isfinite(np.array(row[1:], float)).all()
  assert (tmp_path / "val_0_points.png").is_file()
