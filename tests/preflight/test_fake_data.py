"""Batches of data sets that are not here: shapes of the config's own transform."""

import pathlib
from typing import Any

import numpy as np
import pytest

from hrnet_jax import config as configs
from hrnet_jax import registry
from hrnet_jax.data.prepared import published_facts
from hrnet_jax.preflight import fake_data
from hrnet_jax.task_spec import resolve
from tests.helpers import toy

UINT8, FLOAT32, INT32, BOOL = (np.dtype(name) for name in ("uint8", "float32", "int32", "bool"))
CITYSCAPES = "segmentation/cityscapes:w48"


# A square stands on the canvas of tall images, which is as large as the other.
OBJECTS = {
  "image": ((16, 1344, 800, 3), UINT8),
  "image_size": ((16, 2), FLOAT32),
  "boxes": ((16, 100, 4), FLOAT32),
  "classes": ((16, 100), INT32),
  "valid": ((16, 100), BOOL),
}


@pytest.fixture(autouse=True)
def _nothing_prepared(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
  monkeypatch.setenv("HRNET_JAX_DATA", str(tmp_path / "none"))


@pytest.mark.parametrize(
  ("name", "shapes"),
  [
    (CITYSCAPES, {"image": ((12, 512, 1024, 3), UINT8), "label": ((12, 512, 1024), UINT8)}),
    (
      "landmarks/wflw:w18",
      {"image": ((16, 256, 256, 3), UINT8), "heatmap_points": ((16, 98, 2), FLOAT32)},
    ),
    (
      "landmarks/landmarks_csv",
      {"image": ((16, 128, 128, 3), UINT8), "heatmap_points": ((16, 5, 2), FLOAT32)},
    ),
    (
      "classification/imagenet",
      {"image": ((128, 224, 224, 3), UINT8), "label": ((128,), INT32)},
    ),
    ("detection/coco:faster_rcnn_w18_1x", OBJECTS),
    (
      "detection/coco:cascade_mask_rcnn_w48_20e",
      OBJECTS | {"masks": ((16, 100, 112, 112), UINT8)},
    ),
  ],
)
def test_shapes_without_data(name: str, shapes: dict[str, Any]) -> None:
  config = configs.load(name)
  dataset, prepared = fake_data.open_dataset(config)
  assert not prepared
  assert fake_data.batch_shapes(config, dataset) == shapes
  task = registry.build_task(config, dataset)  # which checks the facts
  assert task.model is not None


def test_published_facts_are_the_data_sets_own(tmp_path: pathlib.Path) -> None:
  dataset, _ = fake_data.open_dataset(configs.load(CITYSCAPES))
  assert dataset.class_names[:2] == ("road", "sidewalk")
  assert dataset.class_weights[0] == 0.8373
  assert not (tmp_path / "none").exists()
  for name, builder in registry.dataset_builders().items():
    facts = published_facts(name)
    assert (facts is None) == resolve(builder).HAS_VARIANTS
    assert facts is None or facts.class_names or facts.landmark_names
  assert published_facts("imagenet2012") is None


def test_the_prepared_data_set_is_used(tmp_path: pathlib.Path) -> None:
  config = toy.get_config()
  assert not fake_data.open_dataset(config)[1]
  config.data.data_dir = str(tmp_path)
  toy.prepare(tmp_path)
  dataset, prepared = fake_data.open_dataset(config)
  assert prepared
  assert dataset.class_names == ("ground", "light", "red")
  shapes = fake_data.batch_shapes(config, dataset)
  assert shapes == {"image": ((8, 64, 64, 3), UINT8), "label": ((8, 64, 64), UINT8)}


def test_mistakes_are_those_of_training() -> None:
  config = toy.get_config()
  config.data.name = "citiscapes"
  with pytest.raises(ValueError, match="unknown data set 'citiscapes'; known: ade20k"):
    fake_data.open_dataset(config)
  config = toy.get_config()
  config.model.task = "guessing"
  with pytest.raises(ValueError, match="unknown task 'guessing'; known: classification, "):
    fake_data.open_dataset(config)
  config.model.task = "pose"
  with pytest.raises(ValueError, match="no made-up record for task 'pose'"):
    fake_data.open_dataset(config)
  config = toy.get_config()
  config.transform.train.crop_size = (63, 0)
  with pytest.raises(ValueError, match="crop_size"):
    fake_data.batch_shapes(config, fake_data.open_dataset(config)[0])
