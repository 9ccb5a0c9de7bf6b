"""Size and task of a network are told from its state_dict."""

from collections.abc import Callable
import json
import pathlib

import numpy as np
import pytest

from hrnet_jax.convert import origin
from hrnet_jax.convert.reference import kind_of
from hrnet_jax.models.backbone import VARIANTS


@pytest.mark.parametrize(
  ("name", "variant"),
  [
    ("seg_w18_small_v1", "w18_small_v1"),
    ("seg_w18_small_v2", "w18_small_v2"),
    ("seg_w48", "w48"),
  ],
)
def test_published_networks_are_recognised(golden: pathlib.Path, name: str, variant: str) -> None:
  shapes = json.loads((golden / "models" / f"{name}.json").read_text())["state_dict"]
  tensors = {key: np.broadcast_to(np.float32(0), shape) for key, shape in shapes.items()}
  config = origin.config_of(tensors)
  assert config == VARIANTS[variant]
  assert origin.describe(config) == variant
  assert kind_of(tensors).words == "segmentation"


@pytest.mark.parametrize("task", ["segmentation", "landmarks", "classification", "pose"])
def test_tasks_are_recognised(weights: Callable, task: str) -> None:
  tensors = weights(task)
  assert kind_of(tensors).words == task
  config = origin.config_of(tensors)
  assert origin.describe(config) == (
    "a network of width 4 with 1-1-1 modules, 1 blocks and 1 bottlenecks of 4"
  )


def test_pose_imagenet_files_are_classification() -> None:
  """Their head is `head.*` and `fc.*`, as described by users of these files."""
  names = ["conv1.weight", "head.0.0.0.conv1.weight", "fc.weight", "fc.bias"]
  assert kind_of(names).words == "classification"


def test_foreign_tensors_are_not_guessed_at() -> None:
  assert kind_of(["layer4.0.conv1.weight"]) is None
  assert origin.config_of({"conv1.weight": np.zeros((64, 3, 7, 7))}) is None


@pytest.mark.parametrize("name", ["conv1.weight", "bn2.bias", "stage4.2.fuse_layers.0.1.0.weight"])
def test_trunk(name: str) -> None:
  assert origin.is_backbone(name)


@pytest.mark.parametrize("name", ["last_layer.0.weight", "conv3x3_ocr.0.weight", "head.0.weight"])
def test_not_trunk(name: str) -> None:
  assert not origin.is_backbone(name)
