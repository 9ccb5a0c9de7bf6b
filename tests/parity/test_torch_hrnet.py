"""The PyTorch network: the official names, shapes, outputs and, in training, our gradients."""

from collections.abc import Callable
import json
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import hrnet_jax
from hrnet_jax.models.backbone import VARIANTS, HRNetConfig
from tests.golden import recipe

pytest.importorskip("torch")
import torch

from hrnet_jax.parity import torch_hrnet, torch_trace

pytestmark = pytest.mark.torch

# Name of a golden file -> task, variant, and height and width of the image.
SEGMENTATION = ("segmentation", (128, 256))
LANDMARKS = ("landmarks", (128, 128))
GOLDEN = {
  "seg_w18_small_v1": (*SEGMENTATION, "w18_small_v1"),
  "seg_w18_small_v2": (*SEGMENTATION, "w18_small_v2"),
  "seg_w48": (*SEGMENTATION, "w48"),
  "seg_w48_lip20": (*SEGMENTATION, "w48"),
  "seg_w48_ctx59": (*SEGMENTATION, "w48"),
  "seg_w48_ctx60": (*SEGMENTATION, "w48"),
  **{f"landmarks_w18_{k}": (*LANDMARKS, "w18") for k in (19, 29, 68, 98)},
  **{f"cls_{variant}": ("classification", (224, 224), variant) for variant in VARIANTS},
  **{f"pose_{variant}_17": ("pose", (128, 96), variant) for variant in ("w32", "w48")},
}
# Prefix in the golden files of segmentation, whose official networks come in two interpolations.
PREFIXES = {"bilinear": "ac0.", "bilinear_aligned": "ac1."}


def build(name: str, facts: dict[str, Any], upsample: str | None) -> torch.nn.Module:
  task, _, variant = GOLDEN[name]
  return torch_hrnet.build(task, variant, facts["num_outputs"], upsample=upsample)


def cases() -> list:
  found = []
  for name, (task, *_) in GOLDEN.items():
    slow = () if "small" in name else pytest.mark.slow
    for upsample in PREFIXES if task == "segmentation" else [None]:
      found.append(pytest.param(name, upsample, marks=slow, id=f"{name}-{upsample or 'own'}"))
  return found


@pytest.mark.parametrize("name", GOLDEN)
def test_names_order_shapes_and_momentum_are_official(name: str, golden_folder: Callable) -> None:
  facts, _ = golden_folder(name)
  with torch.device("meta"):
    network = build(name, facts, "bilinear" if name.startswith("seg") else None)
  shapes = {key: list(tensor.shape) for key, tensor in network.state_dict().items()}
  assert list(shapes.items()) == list(facts["state_dict"].items())
  norms = [m for m in network.modules() if isinstance(m, torch.nn.BatchNorm2d)]
  assert {m.momentum for m in norms} == set(facts["bn_momentum"])
  assert {m.eps for m in norms} == set(facts["bn_eps"])
  assert sum(p.numel() for p in network.parameters()) == facts["params"]


@pytest.mark.parametrize(("name", "upsample"), cases())
def test_outputs_and_stages_are_official(
  name: str, upsample: str | None, golden_folder: Callable
) -> None:
  facts, outputs = golden_folder(name)
  network = build(name, facts, upsample)
  torch_hrnet.load(network, recipe.fill_all(facts["state_dict"]))
  parts = torch_trace.trace(network, recipe.image((1, *GOLDEN[name][1], 3), seed=0))
  prefix, meta = PREFIXES.get(upsample, ""), json.loads(str(outputs["meta"]))
  step = meta.get("subsample") or 1
  expected = outputs[f"{prefix}logits"]
  ours = parts["outputs"][:, ::step, ::step] if expected.ndim == 4 else parts["outputs"]
  np.testing.assert_allclose(ours, expected, rtol=0, atol=2e-5 * expected.std())
  for part in [k for k in parts if k != "outputs"]:
    key = prefix + part.replace("stage1", "layer1")
    spread = outputs[f"{key}.std"]
    atol = 2e-5 * spread.max()
    np.testing.assert_allclose(parts[part].std((0, 1, 2)), spread, rtol=0, atol=atol, err_msg=part)
    mean = outputs[f"{key}.mean"]
    np.testing.assert_allclose(parts[part].mean((0, 1, 2)), mean, rtol=0, atol=atol, err_msg=part)


def test_channels_last_computes_the_same(random_state_dict: Callable) -> None:
  network = torch_hrnet.build("pose", HRNetConfig(width=4, modules=(1, 1, 1), blocks=1), 2)
  torch_hrnet.load(network, random_state_dict(network))
  images = recipe.image((1, 64, 96, 3), seed=0)
  plain = torch_trace.trace(network, images)
  other = torch_trace.trace(network.to(memory_format=torch.channels_last), images)
  assert list(plain) == list(other) == [
    "stem", "stage1", "stage2.0", "stage2.1", "stage3.0", "stage3.1", "stage3.2", "stage4.0",
    "outputs",
  ]  # fmt: skip
  for part, x in plain.items():
    np.testing.assert_allclose(other[part], x, rtol=0, atol=2e-5 * x.std())


def test_segmentation_has_no_interpolation_of_its_own() -> None:
  with pytest.raises(ValueError, match="upsample of segmentation has to be one of nearest, bil"):
    torch_hrnet.build("segmentation", "w18", 19)


def test_weights_of_another_network_are_refused(random_state_dict: Callable) -> None:
  toys = [torch_hrnet.build("pose", HRNetConfig(width=w, modules=(1, 1, 1)), 2) for w in (4, 8)]
  with pytest.raises(ValueError, match=r"does not fit(.|\n)*size mismatch for transition1"):
    torch_hrnet.load(toys[0], random_state_dict(toys[1]))


@pytest.mark.slow
@pytest.mark.parametrize("task", ["segmentation", "classification"])
def test_training_step_in_float64_is_ours(
  task: str, toy: dict[str, Any], random_state_dict: Callable
) -> None:
  """Gradients of all parameters and new running statistics."""
  upsample = {"segmentation": "bilinear_aligned", "classification": "nearest"}[task]
  options = {**toy, "task": task, "upsample": upsample, "bn_momentum": 0.25, "dtype": "float64"}
  depth = HRNetConfig(**{k: toy[k] for k in HRNetConfig.__dataclass_fields__})
  network = torch_hrnet.build(task, depth, 3, upsample=upsample, bn_momentum=0.25).double()
  state_dict = random_state_dict(network)
  torch_hrnet.load(network, state_dict)
  images = recipe.image((2, 64, 96, 3), seed=0).astype(np.float64)
  x = torch.from_numpy(images.transpose(0, 3, 1, 2).copy())
  outputs = network.train()(x)
  weights = recipe.image(torch_trace.to_numpy(outputs.detach()).shape, seed=1).astype(np.float64)
  factors = torch.from_numpy(weights.transpose(0, 3, 1, 2) if weights.ndim == 4 else weights)
  (outputs * factors).sum().backward()

  with jax.enable_x64(True):
    model = hrnet_jax.build_model(**options)
    variables = hrnet_jax.convert.from_torch(model, state_dict)

    def loss(params: Any, statistics: Any) -> tuple[jax.Array, Any]:
      variables = {"params": params, "batch_stats": statistics}
      y, new = model.apply(variables, jnp.asarray(images), train=True, mutable=["batch_stats"])
      return (y * weights).sum(), new["batch_stats"]

    step = jax.jit(jax.grad(loss, has_aux=True))
    gradients, statistics = step(variables["params"], variables["batch_stats"])
    ours = hrnet_jax.convert.to_torch(model, {"params": gradients, "batch_stats": statistics})
  theirs = {name: p.grad.numpy() for name, p in network.named_parameters()}
  theirs |= {name: b.numpy() for name, b in network.named_buffers() if b.ndim}
  assert set(theirs) == {name for name, x in ours.items() if x.ndim}
  largest = max(np.abs(x).max() for x in theirs.values())
  for name, x in theirs.items():
    np.testing.assert_allclose(ours[name], x, rtol=1e-8, atol=1e-11 * largest, err_msg=name)
