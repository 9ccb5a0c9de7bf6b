"""Repeats a run of the reference's own training loop: losses, statistics and parameters."""

from collections.abc import Callable
import dataclasses
import json
import pathlib
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

import hrnet_jax
from hrnet_jax.checkpoint.train_state import TrainState
from hrnet_jax.distributed import sharding
from hrnet_jax.ops.resize import Resize
from hrnet_jax.tasks.segmentation.task import Segmentation
from hrnet_jax.training import optimizer as optimizers
from hrnet_jax.training.step import make_train_step
from tests.golden import recipe

# A third of the time to compile.
FAST_COMPILE = {"xla_backend_optimization_level": 0}
# From this step on landmarks have a tenth of the rate, so that one program runs both fixtures.
LOW_RATE = 1000


@dataclasses.dataclass(frozen=True)
class HeatMaps:
  """Mean squared error over heat maps, as the reference's landmark training has it."""

  model: nn.Module
  normalize: Any = None
  metric: str = ""

  def inputs(self, batch: Any) -> dict:
    return {}

  def loss(self, outputs: jax.Array, batch: Any) -> tuple[jax.Array, dict]:
    return jnp.square(outputs - batch["target"]).mean(), {}


def segmentation(meta: dict, dtype: str) -> tuple[Any, dict, Callable]:
  """Task, keywords of the optimizer, and `inputs -> batch`."""
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
  given = meta["optimizer"]
  optimizer = {
    "name": "sgd",
    "learning_rate": given["base_lr"],
    "momentum": given["momentum"],
    "weight_decay": given["weight_decay"],
    "schedule": {"name": "poly", "power": given["power"]},
  }

  def batch(inputs: dict) -> dict[str, np.ndarray]:
    label = recipe.labels(meta["batch"][:3], 19, inputs["label_seed"])
    assert recipe.crc32(label) == inputs["labels_crc32"]
    return {"label": label.astype(np.uint8)}

  return task, optimizer, batch


def landmarks(meta: dict, dtype: str) -> tuple[Any, dict, Callable]:
  """As `segmentation`."""
  count = meta["num_landmarks"]
  model = hrnet_jax.build_model(
    task="landmarks",
    variant="w18",
    num_landmarks=count,
    bn_momentum=0.01,
    dtype=dtype,
    scan_layers=True,  # half the time to compile; segmentation is tested without
  )
  optimizer = {
    "name": "adam",
    "learning_rate": 1e-4,
    "epsilon": meta["optimizer"]["eps"],
    "schedule": {"name": "step", "milestones": (LOW_RATE,)},
    "steps_per_epoch": 1,
  }
  n, h, w, _ = meta["batch"]

  def batch(inputs: dict) -> dict[str, np.ndarray]:
    shape = (n, h // 4, w // 4, count)
    target = recipe.gaussian_targets(shape, inputs["target_seed"], meta["target_sigma"])
    assert recipe.crc32(target) == inputs["target_crc32"]
    return {"target": target.astype(dtype)}

  return HeatMaps(model), optimizer, batch


def run(
  golden: pathlib.Path, name: str, dtype: str, compiler_options: dict = FAST_COMPILE
) -> tuple[np.lib.npyio.NpzFile, dict]:
  """Repeats the run; returns the fixture and what happened here, by the fixture's names."""
  fixture = np.load(golden / "train_steps" / f"{name}.npz")
  meta = json.loads(str(fixture["meta"]))
  shapes = json.loads((golden / "models" / f"{meta['model']}.json").read_text())["state_dict"]
  build = landmarks if name.startswith("landmarks") else segmentation
  task, optimizer, make_batch = build(meta, dtype)
  task = dataclasses.replace(task, normalize=lambda images: images)  # they are normalised already
  schedule, tx = optimizers.build(meta["optimizer"].get("max_iters", 100), **optimizer)
  # One device: sums over several would round in another order.
  mesh = jax.make_mesh(
    (1, 1),
    ("data", "space"),
    devices=jax.devices()[:1],
    axis_types=(jax.sharding.AxisType.Auto,) * 2,
  )
  step = make_train_step(task, tx, mesh, seed=0)
  variables = hrnet_jax.convert.from_torch(task.model, recipe.fill_all(shapes))
  first = LOW_RATE if name == "landmarks_w18_68_low_lr" else 0
  count = jnp.asarray(first, "int32")
  opt_state = optax.tree.set(tx.init(variables["params"]), _counts_for_the_rate, count=count)
  state = TrainState(step=jnp.zeros((), "int32"), opt_state=opt_state, **variables)
  state = jax.device_put(state, sharding.replicated(mesh))
  to_torch = hrnet_jax.convert.to_torch
  here = {"loss": [], "lr": [], "states": [to_torch(task.model, variables)]}
  for index, inputs in enumerate(meta["inputs"]):
    image = recipe.image(meta["batch"], inputs["image_seed"])
    assert recipe.crc32(image) == inputs["image_crc32"]
    batch = {"image": image.astype(dtype), **make_batch(inputs)}
    batch = sharding.to_global(batch, mesh)
    if index == 0:
      step = step.lower(state, batch).compile(compiler_options)
    state, scalars = step(state, batch)
    here["loss"].append(float(scalars["loss"]))
    here["lr"].append(float(schedule(first + index)))
    here["states"].append(to_torch(task.model, state.variables))
    if index == 0:
      here["grad_norm"] = float(scalars["grad_norm"])
  return fixture, here


def _counts_for_the_rate(path: tuple, _: Any) -> bool:
  """Of the counters of an optimizer's state; Adam has one of its own."""
  return getattr(path[-1], "tuple_name", "") == "ScaleByScheduleState"


def check_float64(golden: pathlib.Path, name: str) -> None:
  """Losses, rates, and norms and values of tensors after every step."""
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
