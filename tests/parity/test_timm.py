"""timm's nine HRNets, written by others, on the same weights: the same logits `(1, 1000)`."""

from collections.abc import Iterator
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import sys
import types
from typing import Any

import numpy as np
import pytest

import hrnet_jax
from hrnet_jax.models.backbone import VARIANTS
from tests.golden import recipe
from tests.helpers import parts

pytestmark = [pytest.mark.torch, pytest.mark.slow]

NAMES = {"hrnet_w18_small": "w18_small_v1", "hrnet_w18_small_v2": "w18_small_v2"} | {
  f"hrnet_{variant}": variant for variant in VARIANTS if "small" not in variant
}


class AnyClass(type):
  """Makes classes that have every attribute; its value is its name."""

  def __getattr__(cls, name: str) -> str:
    if name.startswith("__"):
      raise AttributeError(name)
    return name


class AnyModule(types.ModuleType):
  """Has a class under every name."""

  def __getattr__(self, name: str) -> type:
    if name.startswith("__"):
      raise AttributeError(name)
    return AnyClass(name, (), {})


class NoTorchvision(importlib.abc.MetaPathFinder, importlib.abc.Loader):
  """Stands in for torchvision: timm imports it, its HRNets do not use it, and it needs CUDA."""

  def find_spec(self, name: str, path: Any, target: Any = None) -> Any:
    if name.partition(".")[0] != "torchvision":
      return None
    return importlib.machinery.ModuleSpec(name, self, is_package=True)

  def create_module(self, spec: Any) -> AnyModule:
    return AnyModule(spec.name)

  def exec_module(self, module: types.ModuleType) -> None:
    del module


@pytest.fixture(scope="module")
def timm() -> Iterator[Any]:
  """The package, imported without torchvision; skips where it is not installed."""
  pytest.importorskip("torch")
  if importlib.util.find_spec("timm") is None:
    pytest.skip("needs timm")
  finder = NoTorchvision()
  sys.meta_path.insert(0, finder)
  try:
    yield importlib.import_module("timm")
  finally:
    sys.meta_path.remove(finder)
    for name in [x for x in sys.modules if x.partition(".")[0] == "torchvision"]:
      del sys.modules[name]


@pytest.mark.parametrize(
  "name", [pytest.param(n, marks=pytest.mark.xdist_group(f"cls_{v}")) for n, v in NAMES.items()]
)
def test_logits_are_those_of_timm(name: str, timm: Any) -> None:
  import torch

  network = timm.create_model(name).eval()
  state_dict = recipe.fill_all({key: x.shape for key, x in network.state_dict().items()})
  network.load_state_dict({key: torch.from_numpy(x) for key, x in state_dict.items()})
  images = recipe.image((1, 224, 224, 3), seed=0)
  with torch.inference_mode():
    expected = network(torch.from_numpy(images.transpose(0, 3, 1, 2).copy())).numpy()

  model = hrnet_jax.build_model(task="classification", variant=NAMES[name], num_classes=1000)
  variables = hrnet_jax.convert.from_torch(model, state_dict)
  logits = parts.forward(model, variables, images)
  np.testing.assert_allclose(logits, expected, rtol=0, atol=2e-5 * expected.std())
