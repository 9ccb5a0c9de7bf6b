"""A network, data and a config that train in seconds; `--config=tests/helpers/toy.py` works."""

from collections.abc import Mapping
import functools
import os
import pathlib
import subprocess
import sys
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.sharding import AxisType, Mesh
import ml_collections
import numpy as np

import hrnet_jax
from hrnet_jax.checkpoint import networks
from hrnet_jax.checkpoint.train_state import TrainState, init_variables
from hrnet_jax.data import images, prepared
from hrnet_jax.distributed import sharding
from hrnet_jax.models.layers import ConvNorm, LayerConfig
from hrnet_jax.ops.resize import Resize
from hrnet_jax.tasks.segmentation.task import Segmentation
from tests.helpers import environment

ROOT = environment.ROOT
CONFIG = "tests/helpers/toy.py"
LAYERS = LayerConfig(dtype=jnp.dtype("float32"), bn_momentum=0.1, init="kaiming")
NAME = "image_folder_segmentation/toy"
NUM_CLASSES, NUM_TRAIN, NUM_VAL = 3, 12, 10
MODEL = {
  "task": "segmentation",
  "num_classes": NUM_CLASSES,
  "upsample": "bilinear",
  "width": 4,
  "modules": (1, 1, 1),
  "blocks": 1,
  "bottlenecks": 1,
  "bottleneck_width": 4,
  "bn_momentum": 0.1,
  "dtype": "float32",
  "init": "kaiming",
}


def get_config() -> ml_collections.ConfigDict:
  """Sixty steps; validation at the last, checkpoints at 20, 40 and 60."""
  config = ml_collections.ConfigDict()
  config.seed = 0
  config.init_from = ""
  config.mesh = {"data": -1, "space": 1}
  config.model = dict(MODEL)
  config.data = {
    "name": NAME,
    "data_dir": "",
    "train_split": "train",
    "eval_split": "val",
    "workers": 0,
    "threads": 1,
  }
  config.transform = {
    "train": {"crop_size": (64, 64), "base_size": 64, "scale_factor": 10, "flip": True},
    "eval": {},
  }
  config.loss = {"ignore": 255}
  config.optimizer = {
    "name": "sgd",
    "learning_rate": 0.05,
    "momentum": 0.9,
    "weight_decay": 5e-4,
    "clip_norm": 0.0,
    "schedule": {"name": "poly", "power": 0.9},
  }
  config.train = {"epochs": 0, "steps": 60, "batch_size": 8, "accumulate": 1, "log_every": 1}
  config.eval = {"batch_size": 8, "every_epochs": 40, "pictures": 2}
  config.checkpoint = {"every_steps": 20, "keep_last": 2, "retry_seconds": 2.0}
  return config


def prepare(folder: pathlib.Path) -> prepared.Dataset:
  """Makes photos 64x64 of a bright and a red box on noise, and prepares them in `folder`."""
  source = folder / "source"
  rng = np.random.default_rng(0)
  for split, count in (("train", NUM_TRAIN), ("val", NUM_VAL)):
    for kind in ("images", "labels"):
      (source / kind / split).mkdir(parents=True)
    for index in range(count):
      image, label = _example(rng)
      (source / "images" / split / f"{index:02d}.png").write_bytes(images.encode_png(image))
      (source / "labels" / split / f"{index:02d}.png").write_bytes(images.encode_png(label))
  (source / "classes.txt").write_text("ground\nlight 250 220 60\nred 200 0 0\n")
  dataset, _ = prepared.prepare(NAME, folder, source=source)
  return dataset


def _example(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
  image = rng.integers(0, 80, (64, 64, 3)).astype(np.uint8)
  label = np.zeros((64, 64), np.uint8)
  for value, colour in ((1, (240, 240, 240)), (2, (200, 20, 20))):
    y, x = rng.integers(0, 40, 2)
    box = np.s_[y : y + 24, x : x + 24]
    image[box], label[box] = colour, value
  label[0] = 255
  return image, label


def command(
  script: str, data: pathlib.Path, workdir: pathlib.Path, *options: str, devices: int = 1
) -> tuple[list[str], Mapping[str, str]]:
  """Command line and environment of `train.py` or `eval.py` on simulated devices."""
  config = [] if any(x.startswith("--config=") for x in options) else [f"--config={CONFIG}"]
  return [sys.executable, script, *config, f"--workdir={workdir}", *options], {
    **environment.ONE_THREAD,
    **os.environ,
    "HRNET_JAX_DATA": str(data),
    "JAX_PLATFORMS": "cpu",
    "XLA_FLAGS": environment.xla_flags(*environment.QUICK, devices=devices),
  }


def run(script: str, *args: object, **kwargs: int) -> subprocess.CompletedProcess:
  """Runs `command(...)` to its end."""
  line, env = command(script, *args, **kwargs)
  return subprocess.run(line, env=env, cwd=ROOT, capture_output=True, text=True, timeout=300)


class Tiny(nn.Module):
  """Stands for the network where depth does not matter: two convolutions, a norm, dropout."""

  layer_config: LayerConfig = LAYERS
  dropout: float = 0.0

  @nn.compact
  def __call__(self, images: jax.Array, *, train: bool) -> jax.Array:
    x = ConvNorm(8, self.layer_config, stride=2)(
      images.astype(self.layer_config.dtype), train=train
    )
    x = nn.Dropout(self.dropout, deterministic=not train)(x)
    wide = self.layer_config.param_dtype
    return nn.Conv(NUM_CLASSES, (1, 1), param_dtype=wide)(x.astype(wide))


def make_task(model: nn.Module) -> Segmentation:
  """The task of `get_config` around any network."""
  return Segmentation(
    model=model,
    num_classes=NUM_CLASSES,
    upsample=Resize.BILINEAR,
    class_names=("ground", "light", "red"),
    palette=((0, 0, 0), (250, 220, 60), (200, 0, 0)),
  )


def make_mesh(data: int, space: int = 1) -> Mesh:
  """A mesh over some of the devices."""
  devices = jax.devices()[: data * space]
  return jax.make_mesh(
    (data, space), ("data", "space"), devices=devices, axis_types=(AxisType.Auto,) * 2
  )


def make_state(model: nn.Module, tx: Any, mesh: Mesh, seed: int = 0) -> TrainState:
  """A state with random weights, which takes no compilation."""
  rng = np.random.default_rng(seed)
  shapes = _shapes(model)
  params = jax.tree.map(lambda x: rng.normal(0, 0.3, x.shape).astype(x.dtype), shapes["params"])
  stats = jax.tree.map(lambda x: rng.uniform(1, 2, x.shape).astype(x.dtype), shapes["batch_stats"])
  state = TrainState(
    step=np.zeros((), np.int32), params=params, batch_stats=stats, opt_state=tx.init(params)
  )
  return jax.device_put(state, sharding.replicated(mesh))


@functools.cache
def _shapes(model: nn.Module) -> dict[str, Any]:
  return jax.eval_shape(lambda: init_variables(model, seed=0))


def export_network(folder: pathlib.Path) -> pathlib.Path:
  """Writes the toy's network with ones for weights, as step 0 of a run; returns the checkpoint."""
  shapes = _shapes(hrnet_jax.build_model(**MODEL))
  variables = jax.tree.map(lambda x: np.ones(x.shape, x.dtype), shapes)
  dataset = {"name": "x", "class_names": ["a", "b", "c"], "palette": [[0, 0, 9]] * 3}
  facts = {"config": get_config().to_dict(), "dataset": dataset | {"fingerprint": "f"}}
  return networks.export(folder, variables, facts)


def export_network_and_photo(folder: pathlib.Path) -> pathlib.Path:
  """Writes `export_network` to `run` in a folder and `photo.png` beside it; returns the folder."""
  export_network(folder / "run")
  (folder / "photo.png").write_bytes(images.encode_png(np.zeros((32, 32, 3), np.uint8)))
  return folder


def make_batch(size: tuple[int, int, int], seed: int = 0) -> dict[str, np.ndarray]:
  """Random images and labels `(B, H, W)`, of which a tenth is ignored."""
  rng = np.random.default_rng(seed)
  label = rng.integers(0, NUM_CLASSES, size).astype(np.uint8)
  label[rng.random(size) < 0.1] = 255
  return {"image": rng.integers(0, 256, (*size, 3)).astype(np.uint8), "label": label}


def compile_fast(function: Any, *args: Any) -> Any:
  """Compiles a jitted function for these arguments with little optimisation."""
  return function.lower(*args).compile({"xla_backend_optimization_level": 0})
