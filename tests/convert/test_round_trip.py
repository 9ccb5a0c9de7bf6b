"""Weights of every golden model go to Flax and back without a changed bit."""

import json
import pathlib

import numpy as np
import pytest

import hrnet_jax
from hrnet_jax.convert import from_torch, to_torch
from hrnet_jax.models.network import Network
from tests.golden import recipe

NAMES = sorted(p.stem for p in (pathlib.Path(__file__).parents[1] / "golden/models").glob("*.json"))
TASKS = {
  "seg": ("segmentation", "num_classes"),
  "landmarks": ("landmarks", "num_landmarks"),
  "cls": ("classification", "num_classes"),
  "pose": ("pose", "num_landmarks"),
}


def build(name: str, num_outputs: int) -> Network:
  """`seg_w48_lip20` -> W48 for segmentation."""
  kind, _, rest = name.partition("_")
  task, key = TASKS[kind]
  ocr = {"head": "ocr"} if rest.startswith("ocr_") else {}
  rest = rest.removeprefix("ocr_")
  variants = ("w18_small_v1", "w18_small_v2", "w18", "w30", "w32", "w40", "w44", "w48", "w64")
  variant = next(v for v in variants if f"{rest}_".startswith(f"{v}_"))
  upsample = {"upsample": "bilinear"} if task == "segmentation" else {}
  return hrnet_jax.build_model(task=task, variant=variant, **{key: num_outputs}, **upsample, **ocr)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_round_trip_is_exact(golden: pathlib.Path, name: str) -> None:
  model = json.loads((golden / "models" / f"{name}.json").read_text())
  tensors = recipe.fill_all(model["state_dict"])
  network = build(name, model["num_outputs"])
  back = to_torch(network, from_torch(network, tensors))
  assert set(back) == set(tensors)
  for key, value in tensors.items():
    assert back[key].dtype == value.dtype, key
    np.testing.assert_array_equal(back[key], value, err_msg=key)
