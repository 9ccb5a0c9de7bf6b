"""The examples of "Extend it" work: each trains and is evaluated, as the pages say."""

import pathlib

import numpy as np
from PIL import Image
import pytest

from hrnet_jax import registry
from hrnet_jax.data import prepared
from hrnet_jax.evaluation import score
from hrnet_jax.training import loop
from tests.helpers import toy

EXAMPLES = pathlib.Path(__file__).parents[2] / "docs/extend/examples"


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


@pytest.mark.slow
def test_head_trains_on_the_data_set(tmp_path: pathlib.Path) -> None:
  make_masks(tmp_path / "source")
  config = toy.get_config()
  config.plugins = ("colour_masks", "deep_head")
  registry.load_plugins(config.plugins)
  prepared.prepare("colour_masks/mine", source=tmp_path / "source")
  config.data.name = "colour_masks/mine"
  config.model.task = "segmentation_deep"
  config.model.head_width = 8
  config.train.steps = 3
  state = loop.train(config, tmp_path / "run")
  assert int(state.step) == 3
  assert state.params["head"]["conv1"]["conv"]["kernel"].shape == (3, 3, 8, 8)
  report = score.score(config, tmp_path / "run")
  assert 0 <= report["mean_iou"] <= 1


@pytest.mark.slow
def test_task_learns_to_count(tmp_path: pathlib.Path) -> None:
  config = toy.get_config()
  config.plugins = ("counting",)
  config.model = {key: toy.MODEL[key] for key in toy.MODEL if key != "num_classes"}
  config.model.task = "counting"
  config.data.update({"name": "shapes", "train_split": "train[:64]", "eval_split": "val[:16]"})
  config.transform = {"train": {"flip": True}, "eval": {}}
  config.loss = {}
  config.optimizer.update({"learning_rate": 0.005, "weight_decay": 0.0})
  config.train.steps = 20
  loop.train(config, tmp_path / "run")
  report = score.score(config, tmp_path / "run")
  assert report["error"] < 3.0  # scenes hold three to six shapes, and it begins with one
  assert (tmp_path / "run/eval/pictures/00000.png").exists()
