"""Logits and statistics of every stage of the official code, in float32."""

import functools
import json
import pathlib

import jax
import numpy as np
import pytest

import hrnet_jax
from tests.golden import recipe

pytestmark = pytest.mark.optimised

TOLERANCE = 2e-5  # of the standard deviation; the reference's own rounding is a tenth of that
STAGES = ("stem_2", "stage2", "stage3", "stage4")


def run(golden: pathlib.Path, variant: str, upsample: str) -> tuple[np.ndarray, dict]:
  """Logits, and the maps after each stage under the fixture's names."""
  model = hrnet_jax.build_model(
    task="segmentation", variant=variant, num_classes=19, upsample=upsample
  )
  shapes = json.loads((golden / "models" / f"seg_{variant}.json").read_text())["state_dict"]
  variables = hrnet_jax.convert.from_torch(model, recipe.fill_all(shapes))
  last = f"stage1_{model.backbone.config.bottlenecks - 1}"
  apply = functools.partial(
    model.apply,
    train=False,
    mutable=["intermediates"],
    capture_intermediates=lambda module, _: module.name in (*STAGES, last),
  )
  image = recipe.image((1, 128, 256, 3), seed=0)
  assert recipe.crc32(image) == 1956526388
  compiled = jax.jit(apply, compiler_options={"xla_backend_optimization_level": 0})
  logits, captured = compiled(variables, image)
  found = {k: v["__call__"][0] for k, v in captured["intermediates"]["backbone"].items()}
  maps = {"stem": found["stem_2"], "layer1": found[last]}
  for stage in STAGES[1:]:
    maps |= {f"{stage}.{i}": x for i, x in enumerate(found[stage])}
  return np.asarray(logits), {k: np.asarray(v, np.float64) for k, v in maps.items()}


@pytest.mark.parametrize(
  "variant", ["w18_small_v1", "w18_small_v2", pytest.param("w48", marks=pytest.mark.slow)]
)
@pytest.mark.parametrize(("key", "upsample"), [("ac0", "bilinear"), ("ac1", "bilinear_aligned")])
def test_network_equals_the_official_one(
  golden: pathlib.Path, variant: str, key: str, upsample: str
) -> None:
  logits, maps = run(golden, variant, upsample)
  with np.load(golden / "outputs" / f"seg_{variant}.npz") as fixture:
    expected = {k.removeprefix(f"{key}."): v for k, v in fixture.items() if k.startswith(key)}
    assert json.loads(str(fixture["meta"]))["subsample"] == 1
  names = {k.rpartition(".")[0] for k in expected} - {""}
  assert names == set(maps)
  # stage by stage, so that the first message says where a mismatch begins
  for name, x in maps.items():
    mean, std = expected[f"{name}.mean"], expected[f"{name}.std"]
    allowed = {"rtol": TOLERANCE, "atol": TOLERANCE * std.max(), "err_msg": name}
    np.testing.assert_allclose(x.mean((0, 1, 2)), mean, **allowed)
    np.testing.assert_allclose(x.std((0, 1, 2)), std, **allowed)
  allowed = TOLERANCE * expected["logits"].std()
  np.testing.assert_allclose(logits, expected["logits"], rtol=0, atol=allowed)
