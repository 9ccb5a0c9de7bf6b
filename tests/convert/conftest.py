"""Networks of width 4 for every task, and weights for them under the reference's names."""

from collections.abc import Callable
import functools

import numpy as np
import pytest

import hrnet_jax
from hrnet_jax.convert.fitting import leaves
from hrnet_jax.convert.layout import torch_shape
from hrnet_jax.convert.rules import scheme_of, torch_name
from hrnet_jax.models.network import Network
from tests.golden import recipe

TOY = {"width": 4, "modules": (1, 1, 1), "blocks": 1, "bottlenecks": 1, "bottleneck_width": 4}
OPTIONS = {
  "segmentation": {"num_classes": 3, "upsample": "bilinear"},
  "landmarks": {"num_landmarks": 5},
  "classification": {"num_classes": 7},
  "pose": {"num_landmarks": 6},
}


def build(task: str, **options: object) -> Network:
  return hrnet_jax.build_model(task=task, **{**TOY, **OPTIONS[task], **options})


@functools.cache
def _shapes(task: str) -> dict[str, tuple[int, ...]]:
  shapes, model = {}, build(task)
  for path, leaf in leaves(model).items():
    name = torch_name(path[1:], scheme_of(model))
    shapes[name] = torch_shape(leaf.shape)
    if path[-1] == "var":
      shapes[name.replace("running_var", "num_batches_tracked")] = ()
  return shapes


@pytest.fixture(scope="session")
def toy() -> Callable[..., Network]:
  """`toy(task, **options)` -> the network."""
  return build


@pytest.fixture(scope="session")
def weights() -> Callable[[str], dict[str, np.ndarray]]:
  """`weights(task)` -> a new state_dict that fits `toy(task)`."""
  return lambda task: recipe.fill_all(_shapes(task))
