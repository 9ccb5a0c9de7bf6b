"""Networks of every task against the official code: names, sizes, counts and logits.

Many fixtures are committed; the others are read from the folder beside the checkout if it is there.
"""

from collections.abc import Callable
import functools
import json
import pathlib
from typing import Any

import jax
import numpy as np
import pytest

import hrnet_jax
from hrnet_jax.models import summary
from hrnet_jax.models.backbone import VARIANTS
from hrnet_jax.models.network import Network
from tests.golden import recipe
from tests.helpers import parts

pytestmark = pytest.mark.optimised

TOLERANCE = 2e-5  # of the logits' standard deviation
SIZES = {"seg": (128, 256), "landmarks": (128, 128), "cls": (224, 224), "pose": (128, 96)}
TASKS = {
  "seg": "segmentation",
  "landmarks": "landmarks",
  "cls": "classification",
  "pose": "pose",
}
NAMES = (
  *(f"cls_{variant}" for variant in VARIANTS),
  *(f"landmarks_w18_{count}" for count in (19, 29, 68, 98)),
  *(f"pose_{width}_17" for width in ("w32", "w48")),
  *(f"seg_{name}" for name in ("w18_small_v1", "w18_small_v2", "w48", "ocr_w48")),
  *(f"seg_w48_{name}" for name in ("ctx59", "ctx60", "lip20")),
)
# Outputs at the sizes of the data sets: fixture -> the network, and its number of keypoints.
POSE_OUTPUTS = {"pose_w32_17_256x192": ("pose_w32_17", 17), "pose_w32_16_mpii": ("pose_w32_17", 16)}
MODELS, OUTPUTS = (
  {path.stem for path in (pathlib.Path(__file__).parents[1] / "golden" / folder).iterdir()}
  for folder in ("models", "outputs")
)


def cases(committed: set[str], others: bool) -> list:
  """Names of fixtures here, or beside the checkout; one process compiles each trunk once."""
  chosen = [name for name in NAMES if (name not in committed) is others]
  groups = {name: pytest.mark.xdist_group(name.removesuffix("_17")) for name in chosen}
  groups |= {n: pytest.mark.xdist_group("seg_w48") for n in chosen if n.startswith("seg_")}
  groups |= {n: pytest.mark.xdist_group("landmarks") for n in chosen if n.startswith("landmarks_")}
  return [pytest.param(name, marks=mark) for name, mark in groups.items()]


def options(name: str, num_outputs: int, upsample: str | None) -> dict[str, Any]:
  """Keywords of `build_model` for an official network."""
  kind, rest = name.split("_", 1)
  key = "num_classes" if kind in ("seg", "cls") else "num_landmarks"
  found = {"task": TASKS[kind], key: num_outputs, "variant": rest}
  if rest.startswith("ocr"):
    found |= {"variant": "w48", "head": "ocr"}
  elif "small" not in rest:
    found["variant"] = rest.split("_")[0]
  return found | ({"upsample": upsample} if upsample else {})


def check_structure(folder: pathlib.Path, name: str) -> None:
  """Names and shapes both ways, parameters and multiply-accumulates."""
  facts = json.loads((folder / "models" / f"{name}.json").read_text())
  upsample = "bilinear" if name.startswith("seg") else None
  model = hrnet_jax.build_model(**options(name, facts["num_outputs"], upsample))
  state_dict = recipe.fill_all(facts["state_dict"])
  written = hrnet_jax.convert.to_torch(model, hrnet_jax.convert.from_torch(model, state_dict))
  assert set(written) == set(state_dict)
  for key, value in state_dict.items():
    assert written[key].dtype == value.dtype, key
    np.testing.assert_array_equal(written[key], value, err_msg=key)
  parameters, macs = summary.count(model, tuple(facts["input_hw"]))
  assert parameters == facts["params"]
  assert macs == facts["macs"] + facts.get("matmul_macs", 0)


def whole(model: Network, variables: dict[str, Any], image: np.ndarray) -> Any:
  """The network as one program."""
  return jax.jit(
    functools.partial(model.apply, train=False),
    compiler_options={"xla_backend_optimization_level": 0},
  )(variables, image)


def check_logits(folder: pathlib.Path, name: str, apply: Callable = whole) -> None:
  """Outputs in float32, for each interpolation that the fixture has."""
  facts = json.loads((folder / "models" / f"{name}.json").read_text())
  state_dict = recipe.fill_all(facts["state_dict"])
  kind = name.split("_")[0]
  image = recipe.image((1, *SIZES[kind], 3), seed=0)
  upsamples = {"ac0.": "bilinear", "ac1.": "bilinear_aligned"} if kind == "seg" else {"": None}
  with np.load(folder / "outputs" / f"{name}.npz") as fixture:
    step = json.loads(str(fixture["meta"])).get("subsample", 1)
    for prefix, upsample in upsamples.items():
      model = hrnet_jax.build_model(**options(name, facts["num_outputs"], upsample))
      outputs = apply(model, hrnet_jax.convert.from_torch(model, state_dict), image)
      keys = ("aux", "ocr") if isinstance(outputs, tuple) else ("logits",)
      for key, y in zip(keys, jax.tree.leaves(outputs), strict=True):
        expected = fixture[prefix + key]
        y = np.asarray(y)[:, ::step, ::step] if y.ndim == 4 else np.asarray(y)
        allowed = TOLERANCE * expected.std()
        np.testing.assert_allclose(y, expected, rtol=0, atol=allowed, err_msg=prefix + key)


@pytest.mark.slow
@pytest.mark.parametrize("name", cases(MODELS, others=False))
def test_structure(golden: pathlib.Path, name: str) -> None:
  check_structure(golden, name)


@pytest.mark.slow
@pytest.mark.parametrize("name", [n for n in NAMES if n in OUTPUTS and not n.startswith("seg_")])
def test_logits(golden: pathlib.Path, name: str, convolution: str) -> None:
  """Those of segmentation are compared in test_golden_outputs.py, stage by stage."""
  check_logits(golden, name)


@pytest.mark.slow
@pytest.mark.wide
@pytest.mark.parametrize("name", cases(MODELS, others=True))
def test_structure_of_the_others(shared: pathlib.Path, name: str) -> None:
  check_structure(shared / "golden", name)


@pytest.mark.slow
@pytest.mark.wide
@pytest.mark.parametrize("name", cases(OUTPUTS, others=True))
def test_logits_of_the_others(shared: pathlib.Path, name: str) -> None:
  check_logits(shared / "golden", name, parts.forward)


@pytest.mark.wide
def test_every_fixture_is_named(shared: pathlib.Path) -> None:
  for folder, more in (("models", ()), ("outputs", POSE_OUTPUTS)):
    found = {path.stem for path in (shared / "golden" / folder).iterdir()}
    assert found == {*NAMES, *more}


@pytest.mark.slow
@pytest.mark.wide
@pytest.mark.parametrize("name", POSE_OUTPUTS)
def test_heat_maps_at_the_sizes_of_the_data_sets(shared: pathlib.Path, name: str) -> None:
  network, count = POSE_OUTPUTS[name]
  facts = json.loads((shared / "golden/models" / f"{network}.json").read_text())
  shapes = facts["state_dict"]
  for key in ("final_layer.weight", "final_layer.bias"):
    shapes[key] = [count, *shapes[key][1:]]
  model = hrnet_jax.build_model(**options(network, count, None))
  variables = hrnet_jax.convert.from_torch(model, recipe.fill_all(shapes))
  with np.load(shared / "golden/outputs" / f"{name}.npz") as fixture:
    meta, expected = json.loads(str(fixture["meta"])), fixture["logits"]
  image = recipe.image(meta["input"]["shape"], seed=meta["input"]["seed"])
  assert recipe.crc32(image) == meta["input"]["crc32"]
  step = meta["subsample"]
  found = np.asarray(whole(model, variables, image))[:, ::step, ::step]
  np.testing.assert_allclose(found, expected, rtol=0, atol=TOLERANCE * expected.std())
