"""Networks of every task against the official code: names, sizes, counts and logits.

A few fixtures are committed; the others are read from the folder beside the checkout if it is
there.
"""

import json
import pathlib
from typing import Any

import jax
import numpy as np
import pytest

import hrnet_jax
from hrnet_jax.models import summary
from tests.golden import recipe

TOLERANCE = 2e-5  # of the logits' standard deviation
SIZES = {"seg": (128, 256), "landmarks": (128, 128), "cls": (224, 224), "pose": (128, 96)}
TASKS = {
  "seg": "segmentation",
  "landmarks": "landmarks",
  "cls": "classification",
  "pose": "pose",
}
COMMITTED = ("cls_w18_small_v1", "cls_w18_small_v2", "cls_w18", "landmarks_w18_19", "pose_w48_17")
OTHERS = (
  *(f"cls_{width}" for width in ("w30", "w32", "w40", "w44", "w48", "w64")),
  *(f"landmarks_w18_{count}" for count in (29, 68, 98)),
  "pose_w32_17",
  *(f"seg_w48_{name}" for name in ("ctx59", "ctx60", "lip20")),
  "seg_ocr_w48",
)


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
    np.testing.assert_array_equal(written[key], value, err_msg=key)
  parameters, macs = summary.count(model, tuple(facts["input_hw"]))
  assert parameters == facts["params"]
  assert macs == facts["macs"] + facts.get("matmul_macs", 0)


def check_logits(folder: pathlib.Path, name: str) -> None:
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
      apply = jax.jit(
        lambda v, x, model=model: model.apply(v, x, train=False),
        compiler_options={"xla_backend_optimization_level": 0},
      )
      outputs = apply(hrnet_jax.convert.from_torch(model, state_dict), image)
      keys = ("aux", "ocr") if isinstance(outputs, tuple) else ("logits",)
      for key, y in zip(keys, jax.tree.leaves(outputs), strict=True):
        expected = fixture[prefix + key]
        y = np.asarray(y)[:, ::step, ::step] if y.ndim == 4 else np.asarray(y)
        allowed = TOLERANCE * expected.std()
        np.testing.assert_allclose(y, expected, rtol=0, atol=allowed, err_msg=prefix + key)


@pytest.mark.parametrize("name", COMMITTED)
def test_structure(golden: pathlib.Path, name: str) -> None:
  check_structure(golden, name)


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMITTED)
def test_logits(golden: pathlib.Path, name: str) -> None:
  check_logits(golden, name)


@pytest.mark.slow
@pytest.mark.wide
@pytest.mark.parametrize("name", OTHERS)
def test_structure_of_the_others(shared: pathlib.Path, name: str) -> None:
  check_structure(shared / "golden", name)


@pytest.mark.slow
@pytest.mark.wide
@pytest.mark.parametrize("name", OTHERS)
def test_logits_of_the_others(shared: pathlib.Path, name: str) -> None:
  check_logits(shared / "golden", name)
