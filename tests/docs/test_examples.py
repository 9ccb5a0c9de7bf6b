"""The examples of "Extend it" work: each trains and is evaluated, as the pages say."""

import json
import os
import pathlib
import re
import subprocess
import sys

import numpy as np
from PIL import Image
import pytest

from hrnet_jax import config as configs
from hrnet_jax import registry
from hrnet_jax.data import prepared
from tests.helpers import environment, pages

EXAMPLES = pages.ROOT / "docs/extend/examples"


@pytest.fixture(autouse=True)
def examples(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> None:
  """Modules of the pages can be imported, and what they add is forgotten afterwards."""
  monkeypatch.syspath_prepend(EXAMPLES)
  monkeypatch.setenv("HRNET_JAX_DATA", str(tmp_path / "data"))
  monkeypatch.setattr(registry, "_plugins", {})
  monkeypatch.setattr(registry, "_plugin_datasets", {})


def make_masks(folder: pathlib.Path) -> None:
  """Photos of noise, and masks of which the lower half is pond."""
  rng = np.random.default_rng(0)
  for kind in ("photos", "masks"):
    (folder / kind).mkdir(parents=True)
  for index in range(12):
    photo = rng.integers(0, 255, (64, 64, 3)).astype(np.uint8)
    mask = np.full((64, 64, 3), (107, 142, 35), np.uint8)
    mask[32:] = (70, 130, 180)
    mask[:2] = 0  # a colour that stands for nothing
    Image.fromarray(photo).save(folder / "photos" / f"{index:02}.jpg")
    Image.fromarray(mask).save(folder / "masks" / f"{index:02}.png")


def test_data_set_turns_colours_into_ids(tmp_path: pathlib.Path) -> None:
  make_masks(tmp_path / "source")
  registry.load_plugins(["colour_masks"])
  dataset, _ = prepared.prepare("colour_masks/mine", source=tmp_path / "source")
  assert dataset.splits() == {"train": 10, "val": 2}
  assert dataset.class_names == ("field", "pond", "roof")
  counts = dataset.statistics["train"]
  assert counts["class_pixels"] == [10 * 30 * 64, 10 * 32 * 64, 0]
  assert counts["ignored_pixels"] == 10 * 2 * 64


def test_data_set_names_a_mask_without_known_colours(tmp_path: pathlib.Path) -> None:
  make_masks(tmp_path / "source")
  Image.new("RGB", (64, 64)).save(tmp_path / "source/masks/03.png")
  registry.load_plugins(["colour_masks"])
  with pytest.raises(ValueError, match=r"masks/03\.png: none of the colours"):
    prepared.prepare("colour_masks/mine", source=tmp_path / "source")


TOY = """
from tests.helpers import toy


def get_config():
  config = toy.get_config()
"""
DEEP = """
  config.plugins = ("colour_masks", "deep_head")
  config.data.name = "colour_masks/mine"
  config.model.task = "segmentation_deep"
  config.model.head_width = 8
  config.train.steps = 3
  return config
"""
COUNT = """
  config.plugins = ("counting",)
  config.model.task = "counting"
  del config.model.num_classes
  config.data.update({"name": "shapes", "train_split": "train[:64]", "eval_split": "val[:16]"})
  config.transform = {"train": {"flip": True}, "eval": {}}
  config.loss = {}
  config.optimizer.update({"learning_rate": 0.005, "weight_decay": 0.0})
  config.train.steps = 20
  return config
"""


def hrnet(tmp_path: pathlib.Path, *arguments: str) -> str:
  """Runs the command as the pages show it; returns what it printed."""
  run = subprocess.run(
    [sys.executable, "-m", "hrnet_jax", *arguments],
    cwd=tmp_path,
    env={
      **os.environ,
      "PYTHONPATH": f"{pages.ROOT}:{EXAMPLES}",
      "HRNET_JAX_DATA": str(tmp_path / "data"),
      "XLA_FLAGS": environment.xla_flags(*environment.QUICK, devices=1),
    },
    capture_output=True,
    text=True,
    timeout=600,
  )
  assert run.returncode == 0, run.stderr
  return run.stdout


@pytest.mark.slow
def test_head_trains_on_the_data_set(tmp_path: pathlib.Path) -> None:
  make_masks(tmp_path / "source")
  (tmp_path / "my_config.py").write_text(TOY + DEEP)
  options = ["--plugins=colour_masks", "--dataset=colour_masks/mine", "--source=source"]
  assert "field" in hrnet(tmp_path, "prepare", *options)
  hrnet(tmp_path, "train", "--config=my_config.py", "--workdir=run")
  tensors = (tmp_path / "run/parameters.txt").read_text()
  assert re.search(r"head/conv1/conv/kernel .*\(3, 3, 8, 8\)", tensors)
  assert "mean iou" in hrnet(tmp_path, "eval", "--config=my_config.py", "--workdir=run")
  photo = "--input=source/photos/00.jpg"
  hrnet(tmp_path, "predict", "--checkpoint=run", photo, "--output=predictions")
  assert (tmp_path / "predictions/00_labels.png").exists()


@pytest.mark.slow
def test_task_learns_to_count(tmp_path: pathlib.Path) -> None:
  (tmp_path / "my_config.py").write_text(TOY + COUNT)
  hrnet(tmp_path, "train", "--config=my_config.py", "--workdir=run")
  hrnet(tmp_path, "eval", "--config=my_config.py", "--workdir=run")
  report = json.loads((tmp_path / "run/eval/metrics.json").read_text())
  assert report["error"] < 3.0  # scenes hold three to six shapes, and it begins with one
  assert (tmp_path / "run/eval/pictures/00000.png").exists()


@pytest.mark.parametrize("name", ["my_counting.py"])
def test_configs_of_the_pages_can_be_read(name: str) -> None:
  config = configs.load(str(EXAMPLES / name))
  assert registry.task_of(config).name == config.model.task
