"""The reference's own training loop, six iterations: losses, statistics and parameters."""

import json
import pathlib

import jax
import numpy as np
import pytest

import hrnet_jax
from hrnet_jax.ops.resize import Resize
from hrnet_jax.tasks.segmentation import Segmentation
from hrnet_jax.training import optim, sharding
from hrnet_jax.training.state import TrainState
from hrnet_jax.training.step import make_train_step
from tests.golden import recipe


def run(golden: pathlib.Path, name: str, dtype: str) -> tuple[np.lib.npyio.NpzFile, dict]:
  """Repeats the run; returns the fixture and what happened here, by the fixture's names."""
  fixture = np.load(golden / "train_steps" / f"{name}.npz")
  meta = json.loads(str(fixture["meta"]))
  shapes = json.loads((golden / "models" / f"{meta['model']}.json").read_text())["state_dict"]
  model = hrnet_jax.build_model(
    task="segmentation",
    variant="w18_small_v1",
    num_classes=19,
    upsample="bilinear",
    bn_momentum=meta["bn_momentum"],
    dtype=dtype,
  )
  task = Segmentation(
    model=model,
    num_classes=19,
    upsample=Resize.BILINEAR,
    class_names=tuple(map(str, range(19))),
    palette=((0, 0, 0),) * 19,
    class_weights=recipe.CITYSCAPES_WEIGHTS,
  )
  options = meta["optimizer"]
  schedule, tx = optim.build(
    options["max_iters"],
    name="sgd",
    learning_rate=options["base_lr"],
    momentum=options["momentum"],
    weight_decay=options["weight_decay"],
    schedule={"name": "poly", "power": options["power"]},
  )
  # One device: sums over several would round in another order.
  mesh = jax.make_mesh(
    (1, 1),
    ("data", "space"),
    devices=jax.devices()[:1],
    axis_types=(jax.sharding.AxisType.Auto,) * 2,
  )
  step = make_train_step(task, tx, mesh, seed=0, prepare=lambda images: images)
  variables = hrnet_jax.convert.from_torch(model, recipe.fill_all(shapes))
  state = TrainState(
    step=jax.numpy.zeros((), "int32"), opt_state=tx.init(variables["params"]), **variables
  )
  state = jax.device_put(state, sharding.replicated(mesh))
  here = {"loss": [], "lr": [], "states": [hrnet_jax.convert.to_torch(model, variables)]}
  for index, inputs in enumerate(meta["inputs"]):
    image = recipe.image(meta["batch"], inputs["image_seed"])
    label = recipe.labels(meta["batch"][:3], 19, inputs["label_seed"])
    assert recipe.crc32(image) == inputs["image_crc32"]
    assert recipe.crc32(label) == inputs["labels_crc32"]
    batch = {"image": image.astype(dtype), "label": label.astype(np.uint8)}
    state, scalars = step(state, sharding.to_global(batch, mesh))
    here["loss"].append(float(scalars["loss"]))
    here["lr"].append(float(schedule(index)))
    here["states"].append(hrnet_jax.convert.to_torch(model, state.variables))
    if index == 0:
      here["grad_norm"] = float(scalars["grad_norm"])
  return fixture, here


@pytest.mark.slow
@pytest.mark.parametrize("name", ["seg_w18_small_v1", "seg_w18_small_v1_low_lr"])
def test_float64_is_the_reference_to_nine_digits(golden: pathlib.Path, name: str) -> None:
  with jax.enable_x64(True):
    fixture, here = run(golden, name, "float64")
  np.testing.assert_allclose(here["loss"], fixture["f64.loss"], rtol=0, atol=1e-9)
  np.testing.assert_allclose(here["lr"], fixture["f64.lr"], rtol=1e-12)
  np.testing.assert_allclose(here["grad_norm"], fixture["f64.grad_total_norm_step0"], rtol=1e-9)
  names = [str(n) for n in fixture["names"]]
  for index, state in enumerate(here["states"]):
    norms = [np.linalg.norm(state[n].astype(np.float64)) for n in names]
    np.testing.assert_allclose(norms, fixture["f64.tensor_norm"][index], rtol=1e-8)
    moved = [np.linalg.norm(state[n] - here["states"][0][n]) for n in names]
    np.testing.assert_allclose(
      moved, fixture["f64.tensor_delta_norm"][index], rtol=1e-6, atol=1e-11
    )
  for key in (k for k in fixture.files if k.startswith("f64.value.")):
    ours = np.stack([state[key.removeprefix("f64.value.")] for state in here["states"]])
    np.testing.assert_allclose(ours, fixture[key], rtol=0, atol=1e-9, err_msg=key)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["seg_w18_small_v1", "seg_w18_small_v1_low_lr"])
def test_float32_is_off_by_rounding_only(golden: pathlib.Path, name: str) -> None:
  fixture, here = run(golden, name, "float32")
  # Rounding grows from step to step: the reference's float32 run against its own float64 run.
  noise = np.abs(fixture["f32.loss"] - fixture["f64.loss"])
  allowed = np.maximum(5 * noise, [3e-6, 3e-6, 3e-5, 5e-4, 2e-3, 5e-3])
  assert (np.abs(here["loss"] - fixture["f64.loss"]) <= allowed).all()
