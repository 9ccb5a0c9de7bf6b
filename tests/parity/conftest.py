"""A network small enough to compile in seconds, weights for it, and the golden files by name."""

from collections.abc import Callable
import json
import pathlib
from typing import Any

import numpy as np
import pytest

from tests.golden import recipe

TOY = {
  "width": 4,
  "modules": (1, 1, 1),
  "blocks": 1,
  "bottlenecks": 2,
  "bottleneck_width": 8,
}


@pytest.fixture(scope="session")
def toy() -> dict[str, Any]:
  """`config.model` of a network for segmentation."""
  return {"task": "segmentation", "num_classes": 3, "upsample": "bilinear", **TOY}


@pytest.fixture(scope="session")
def random_state_dict() -> Callable:
  """`random_state_dict(module)` -> weights and running statistics by the golden recipe."""

  def make(module: Any) -> dict[str, np.ndarray]:
    return recipe.fill_all({name: x.shape for name, x in module.state_dict().items()})

  return make


@pytest.fixture
def golden_folder(golden: pathlib.Path, request: pytest.FixtureRequest) -> Callable:
  """`golden_folder(name)` -> facts and outputs of the official network; skips if not there."""

  def find(name: str) -> tuple[dict[str, Any], Any]:
    files = f"models/{name}.json", f"outputs/{name}.npz"
    folder = golden
    if not all((folder / file).is_file() for file in files):
      folder = request.getfixturevalue("shared") / "golden"
    facts, outputs = (folder / file for file in files)
    return json.loads(facts.read_text()), np.load(outputs)

  return find
