"""Segmentation data sets end to end, in miniature: prepare, train, test protocol, result files.

The shipped configs are used as they are but for sizes: of network, images and run.
"""

import json
import math
import pathlib
from typing import Any

import ml_collections
import numpy as np
from PIL import Image
import pytest

from hrnet_jax import config as configs
from hrnet_jax.data import images, prepared
from hrnet_jax.evaluation import score
from hrnet_jax.training import loop
from tests.helpers import miniatures, toy

pytestmark = pytest.mark.slow

# How long sides shrink; the photos are of 64 to 96 pixels.
LENGTHS = {473: 64, 480: 48, 512: 32, 520: 64, 1024: 64, 2048: 96}
DEPTH = {"width": 4, "modules": (1, 1, 1), "blocks": 1, "bottlenecks": 1, "bottleneck_width": 4}
BATCH = 4  # divides into the four groups of hard example mining
PROTOCOL = {"scales": (0.5, 1.25), "flip": True}
TWO_PHASES, ONE_PHASE = "cityscapes:w48_trainval_ohem", "cityscapes:w18_small_v1"

# The source folder, the config, the classes, and the files' ids of the first and the last class.
CASES = {
  "cityscapes": (miniatures.cityscapes, TWO_PHASES, 19, (7, 33)),
  "lip": (
    miniatures.lip,
    "lip:w48",
    20,
    (0, 19),
  ),
  "pascal_context": (miniatures.pascal_context_json, "pascal_context:w48_ocrbranch", 59, (2, 458)),
  "pascal_context60": (miniatures.pascal_context_png, "pascal_context:w48_cls60", 60, (0, 458)),
  "ade20k with OCR": (
    miniatures.ade20k,
    "ade20k:w48_ocr_ohem",
    150,
    (1, 150),
  ),
  "cocostuff10k": (
    miniatures.cocostuff10k,
    "cocostuff10k:w48_ohem",
    171,
    (1, 182),
  ),
}


def small(name: str) -> ml_collections.ConfigDict:
  """A shipped config with everything in it shrunk; one epoch, two where there are two phases."""
  config = ml_collections.ConfigDict(shrunk(configs.load(f"segmentation/{name}").to_dict()))
  # Kaiming and quick statistics, so that one step leaves predictions that differ by pixel.
  config.model.update(DEPTH, init="kaiming", bn_momentum=0.5)
  config.data.update(workers=0, threads=1)
  config.train.update(epochs=1, batch_size=BATCH, log_every=1)
  if config.train.fine_tune:
    config.train.fine_tune.epochs = 1
  config.eval.update(batch_size=BATCH, pictures=1)
  config.eval.protocol.update(PROTOCOL)
  return config


def shrunk(value: Any) -> Any:
  """The same with small lengths for large ones, at any depth."""
  if isinstance(value, dict):
    return {key: shrunk(x) for key, x in value.items()}
  if isinstance(value, tuple):
    return tuple(map(shrunk, value))
  return LENGTHS.get(value, value) if type(value) is int else value


@pytest.fixture
def data(tmp_path, monkeypatch, one_device):
  """The folder of prepared data sets."""
  monkeypatch.setenv("HRNET_JAX_DATA", str(tmp_path / "data"))
  return tmp_path / "data"


@pytest.mark.parametrize("case", CASES)
def test_prepare_train_test_and_export(case, data, tmp_path):
  write, name, count, ids = CASES[case]
  config = small(name)
  dataset, _ = prepared.prepare(config.data.name, source=write(tmp_path / "source"))
  state = loop.train(config, tmp_path / "run")
  entries = [json.loads(x) for x in (tmp_path / "run/metrics.jsonl").read_text().splitlines()]
  losses = [entry["loss"] for entry in entries if entry["split"] == "train"]
  assert state.step == len(losses) == (3 if config.train.fine_tune else 1)
  assert all(0 < loss < 4 * math.log(count) for loss in losses)

  report = score.score(config, tmp_path / "run", export=tmp_path / "export")
  check_report(report, dataset, count)
  metrics = json.loads((tmp_path / "run/eval/metrics.json").read_text())
  kind, base = (config.eval.protocol[key] for key in ("kind", "base_size"))
  assert metrics["testing"] == f"{kind} at scales 0.5, 1.25 of {base} pixels, mirrored as well"
  assert metrics["mean_iou"] == report["mean_iou"]
  found = dataset.class_ids or tuple(range(count))
  assert (found[0], found[-1]) == ids
  assert len(found) == count
  check_files(tmp_path / "export", dataset, "val", report)
  if "test" in dataset.splits():
    check_split_without_labels(config, dataset, tmp_path)


def check_report(report, dataset, count):
  """All classes in their order, and every labelled pixel counted once."""
  assert list(report["iou"]) == list(dataset.class_names)
  assert len(report["iou"]) == count
  assert list(report["support"].values()) == dataset.statistics["val"]["class_pixels"]
  assert report["pixels"] == sum(report["support"].values()) > 0
  assert report["mean_iou"] == pytest.approx(sum(report["iou"].values()) / count)
  assert 0 <= report["mean_iou"] <= report["mean_accuracy"] <= 1


def check_files(folder, dataset, split, report):
  """A map for each image, at the size of its label, that has the official ids and says the same."""
  ids = np.array(dataset.class_ids or range(len(dataset.class_names)))
  right, seen = 0, set()
  records = list(dataset.source(split))
  files = {path.relative_to(folder).as_posix() for path in folder.rglob("*.png")}
  assert files == {f"{record['name']}.png" for record in records}
  for record in records:
    label = images.decode_label(record["label"], record["name"])
    exported = np.asarray(Image.open(folder / f"{record['name']}.png"))
    assert exported.shape == label.shape
    assert exported.dtype == (np.uint8 if ids.max() < 256 else np.uint16)
    seen |= set(np.unique(exported).tolist())
    counted = label < len(ids)
    right += (exported[counted] == ids[label[counted]]).sum()
  assert seen <= set(ids.tolist())
  assert len(seen) > 1, "the network sees no difference; the checks above mean little"
  if report["pixels"]:
    assert right / report["pixels"] == pytest.approx(report["pixel_accuracy"])


def check_split_without_labels(config, dataset, folder):
  """Nothing is counted, yet there are result files."""
  config.data.eval_split = "test"
  report = score.score(config, folder / "out", folder / "run", export=folder / "test")
  assert report["pixels"] == report["mean_iou"] == 0
  check_files(folder / "test", dataset, "test", report)
  names = sorted(path.relative_to(folder / "test").as_posix() for path in folder.glob("test/*/*"))
  assert names == ["aachen/aachen_000000_000019.png", "bochum/bochum_000001_000019.png"]
  rows = (folder / "out/eval/examples.csv").read_text().splitlines()
  assert [row.rsplit(",", 1)[1] for row in rows] == ["quality", "nan", "nan"]


def test_commands(tmp_path):
  """Cityscapes once more, through prepare, train.py and eval.py as people type them."""
  source, data, run = (tmp_path / name for name in ("source", "data", "run"))
  miniatures.cityscapes(source)
  config = tmp_path / "small.py"
  config.write_text(
    '"""A shipped config, shrunk."""\n\n'
    "from tests.end_to_end import test_segmentation_sets as sets\n\n\n"
    "def get_config():\n  return sets.small(sets.ONE_PHASE)\n"
  )
  dataset, _ = prepared.prepare("cityscapes", data, source=source)
  trained = toy.run("train.py", data, run, f"--config={config}")
  assert trained.returncode == 0, trained.stderr
  scored = toy.run("eval.py", data, run, f"--config={config}", f"--export={tmp_path / 'export'}")
  assert scored.returncode == 0, scored.stderr
  report = json.loads((run / "eval/metrics.json").read_text())
  check_report(report, dataset, 19)
  check_files(tmp_path / "export", dataset, "val", report)
  assert "whole at scales 0.5, 1.25 of 96 pixels, mirrored as well" in scored.stdout
  for line in (name for name in report["iou"]):
    assert line in scored.stdout
  assert sorted(path.name for path in pathlib.Path(run / "eval").iterdir() if path.is_dir()) == [
    "pictures",
    "tensorboard",
    "worst",
  ]
