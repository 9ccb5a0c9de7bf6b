"""Detections of a split as files and side by side, without a network: objects that are known."""

import json
import pathlib

import jax
import numpy as np
from pycocotools import coco, cocoeval
import pytest

from hrnet_jax import registry
from hrnet_jax.data.inputs import Inputs
from hrnet_jax.evaluation import compare, results
from hrnet_jax.evaluation.evaluate import Scored, evaluate
from hrnet_jax.tasks.detection.metrics import COCO_FIGURES
from tests.helpers import toy_detection

KINDS = {"boxes": "bbox", "masks": "segm"}


class Known:
  """Stands for a step: finds the true objects, moved by `variables` pixels to the right."""

  shared = True

  def __call__(self, variables, batch):
    count, objects = batch["valid"].shape
    predictions = {
      "boxes": batch["boxes"] + np.float32([variables, 0, variables, 0]),
      "classes": batch["classes"],
      "scores": np.tile(np.linspace(0.9, 0.1, objects, dtype=np.float32), (count, 1)),
      "valid": batch["valid"],
      "masks": batch["masks"].reshape(count, objects, 28, 4, 28, 4).mean((3, 5)) / 255,
    }
    sums = {"images": batch["mask"].sum()}
    return Scored(sums, predictions, np.full(count, -float(variables)))

  def example(self, batch, row, prediction):
    return prediction, {key: value[row] for key, value in batch.items()}


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
  folder = tmp_path_factory.mktemp("results")
  dataset, config = toy_detection.prepare(folder), toy_detection.get_config()
  return (
    registry.build_task(config, dataset),
    Inputs(config, dataset, registry.task_of(config)),
    folder / "coco",
  )


def by_the_official_code(source: pathlib.Path, file: pathlib.Path, kind: str) -> dict:
  known = coco.COCO()
  known.dataset = json.loads((source / "annotations" / "instances_val.json").read_text())
  for row in known.dataset["annotations"]:
    row.setdefault("iscrowd", 0)
  known.createIndex()
  run = cocoeval.COCOeval(known, known.loadRes(str(file)), kind)
  run.evaluate()
  run.accumulate()
  run.summarize()
  return dict(zip(COCO_FIGURES, run.stats, strict=True))


@pytest.mark.parametrize("moved", [0.0, 2.0])
def test_files_score_in_the_official_code_as_reported(parts, moved, tmp_path):
  task, inputs, source = parts
  writer = results.open_writer("detection", tmp_path / "out", inputs.dataset, task)
  with inputs.eval() as batches:
    found = evaluate(task, Known(), moved, batches, consume=writer.add)
  assert not list((tmp_path / "out").iterdir())
  writer.finish(found.totals)
  for name, kind in KINDS.items():
    official = by_the_official_code(source, tmp_path / "out" / f"{name}.json", kind)
    prefix = "mask_" if kind == "segm" else ""
    for key, value in official.items():
      assert found.report.get(f"{prefix}{key}", -1) == pytest.approx(value, abs=1e-12), key
  assert found.report["images"] == 4
  assert (found.report["AP"] > 0.999) == (moved == 0)
  rows = json.loads((tmp_path / "out" / "boxes.json").read_text())
  # The ids of the files: an object is thinner than a pixel of the network's input, two are crowds.
  assert [row["image_id"] for row in rows] == [20, 30, 30]
  assert {row["category_id"] for row in rows} == {3, 7, 90}


def test_networks_without_masks_write_boxes_alone_and_other_processes_nothing(
  parts, tmp_path, monkeypatch
):
  _, inputs, _ = parts
  task = registry.build_task(toy_detection.get_config("faster_rcnn"), inputs.dataset)
  writer = results.open_writer("detection", tmp_path, inputs.dataset, task)
  with inputs.eval() as batches:
    totals = evaluate(task, Known(), 0.0, batches).totals
  monkeypatch.setattr(jax, "process_index", lambda: 1)
  writer.finish(totals)
  assert not list(tmp_path.iterdir())
  monkeypatch.undo()
  writer.finish(totals)
  assert [path.name for path in tmp_path.iterdir()] == ["boxes.json"]
  # Nothing found is a file, too.
  writer.finish({"detections": {}})
  assert json.loads((tmp_path / "boxes.json").read_text()) == []


def test_two_networks_are_scored_each_by_what_it_found(parts):
  task, inputs, _ = parts
  with inputs.eval() as batches:
    found = compare.compare(task, Known(), (2.0, 0.0), batches, num_pictures=1)
  first, second = found.reports
  assert first["AP"] < second["AP"] == pytest.approx(second["mask_AP"]) == pytest.approx(1)
  for moved, report in ((2.0, first), (0.0, second)):
    with inputs.eval() as batches:
      assert report == evaluate(task, Known(), moved, batches).report
  assert set(found.gain.values()) == {2.0}
  (picture,) = found.pictures.values()
  assert picture.ndim == 3
  assert "mask_class_AP dog" in compare.table(found)
