"""Checkpoints of toy networks, one for each task, with the facts that runs store."""

from collections.abc import Callable
import functools
import pathlib
from typing import Any

from flax import traverse_util
import jax
import numpy as np
import pytest

from hrnet_jax.checkpoint import networks
from hrnet_jax.checkpoint.train_state import init_variables
from hrnet_jax.models.network import build_model
from hrnet_jax.ops.normalize import Normalize

TOY = {"width": 4, "modules": (1, 1, 1), "blocks": 1, "bottlenecks": 1, "bottleneck_width": 4}
SIZE = 64  # of the landmark crops
CONFIGS: dict[str, dict[str, Any]] = {
  "segmentation": {
    "model": {"num_classes": 3, "upsample": "bilinear_aligned"},
    "loss": {},
    "transform": {"eval": {}},
  },
  "classification": {
    "model": {"num_classes": 6},
    "loss": {},
    "transform": {"eval": {"crop_size": (32, 32), "resize": 32}},
  },
  "detection": {
    "model": {
      "method": "mask_rcnn",
      "num_classes": 3,
      "min_score": 0.0,
      "max_detections": 10,
      "roi_batch_size": 16,
    },
    "loss": {},
    "data": {"eval_split": "val"},
    "transform": {"eval": {"canvas": ((96, 64), (64, 96)), "scale": (96, 64)}},
  },
  "landmarks": {
    "model": {"num_landmarks": 4},
    "loss": {"targets": "gaussian", "sigma": 1.0},
    "data": {"eval_split": "val"},
    "transform": {
      "train": {"crop": "affine", "crop_size": SIZE},
      "eval": {"crop": "affine", "crop_size": SIZE},
    },
    "eval": {"decoding": {"refine": "quarter", "flip": False}},
  },
}
FACTS: dict[str, dict[str, Any]] = {
  "segmentation": {
    "class_names": ["ground", "light", "red"],
    "palette": [[0, 0, 0], [250, 220, 60], [200, 0, 0]],
  },
  "classification": {"class_names": [f"kind {k}" for k in range(6)], "palette": []},
  "detection": {"class_names": ["a", "b", "c"], "palette": []},
  "landmarks": {"landmark_names": ["l", "r", "top", "chin"], "flip_pairs": [[0, 1]]},
}


def squares(shape: tuple[int, ...]) -> np.ndarray:
  """Images `(B, H, W, 3)` uint8 of squares of sixteen pixels in random colours."""
  b, h, w, c = shape
  colours = np.random.default_rng(3).integers(0, 256, (b, -(-h // 16), -(-w // 16), c))
  return np.kron(colours, np.ones((1, 16, 16, 1)))[:, :h, :w].astype(np.uint8)


def _variables(model: Any) -> dict[str, Any]:
  shapes = traverse_util.flatten_dict(jax.eval_shape(lambda: init_variables(model, seed=0)))
  rng = np.random.default_rng(0)

  def value(leaf: str, shape: tuple[int, ...]) -> np.ndarray:
    if leaf == "kernel":
      return rng.standard_normal(shape) / np.sqrt(np.prod(shape[:-1]))
    return rng.uniform(0.5, 1.5, shape) if leaf in ("scale", "var") else rng.normal(0, 0.1, shape)

  flat = {k: value(k[-1], v.shape).astype(v.dtype) for k, v in shapes.items()}
  return traverse_util.unflatten_dict(flat)


def _balance(model: Any, variables: dict[str, Any]) -> None:
  """Moves the scores of all classes to the same mean, so that each is somewhere the best."""
  run = jax.jit(lambda x: model.apply(variables, Normalize()(x), train=False))
  images = squares((1, 64, 64, 3))
  logits = run.lower(images).compile({"xla_backend_optimization_level": 0})(images)
  variables["params"]["head"]["classify"]["bias"] -= np.asarray(logits).mean((0, 1, 2))


@pytest.fixture(scope="session")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], pathlib.Path]:
  """`stored(task)` -> a folder with a checkpoint of it."""

  @functools.cache
  def store(task: str) -> pathlib.Path:
    config = CONFIGS[task] | {"model": {"task": task} | TOY | CONFIGS[task]["model"]}
    facts = FACTS[task] | {"name": f"toy_{task}", "fingerprint": "0f"}
    folder = tmp_path_factory.mktemp("stored") / task
    model = build_model(**config["model"])
    variables = _variables(model)
    if task == "segmentation":
      _balance(model, variables)
    if task == "detection":  # else all objects would be of the first class
      variables["params"]["head"]["boxes"]["classify"]["bias"][0] -= 1.3
    networks.export(folder, variables, {"config": config, "dataset": facts})
    return folder

  return store
