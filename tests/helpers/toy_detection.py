"""Detection in four small images of COCO's format with a tiny network; for `--config=`."""

import pathlib
from typing import Any

from flax import traverse_util
import jax
import ml_collections
import numpy as np

from configs.detection import coco
from hrnet_jax.checkpoint import networks
from hrnet_jax.checkpoint.train_state import init_variables
from hrnet_jax.data import prepared
from hrnet_jax.models.network import build_model
from tests.helpers import coco_miniature, toy

NAME = "coco/miniature"
SIDE = 64
NUM_CLASSES = 3
TRUNK = {key: toy.MODEL[key] for key in toy.MODEL.keys() - {"task", "num_classes", "upsample"}}


def get_config(method: str = "mask_rcnn") -> ml_collections.ConfigDict:
  """Images of 64x64 pixels, all of one size so that there is one program."""
  config = coco.get_config(f"{method}_w18_1x")
  config.model = TRUNK | {
    "task": "detection",
    "method": method,
    "num_classes": NUM_CLASSES,
    "convention": "modern",
    "norm_eval": True,
    # A network that knows nothing is sure of nothing.
    "min_score": 0.0,
    "max_detections": 10,
    "roi_batch_size": 16,
  }
  splits = {"train_split": "train_objects", "eval_split": "val"}
  config.data.update({"name": NAME, "workers": 0, "threads": 1} | splits)
  sizes = {"canvas": ((SIDE, SIDE),), "max_objects": 8}
  config.transform.train.update(sizes | {"scales": ((SIDE, SIDE),)})
  config.transform.eval.update(sizes | {"scale": (SIDE, SIDE)})
  config.train.batch_size = 2
  config.eval.update({"batch_size": 2, "pictures": 1})
  return config


def prepare(folder: pathlib.Path) -> prepared.Dataset:
  """Makes the images and prepares them in `folder`; all objects have masks."""
  content = coco_miniature.content()
  content["annotations"] = [row for row in content["annotations"] if row["id"] != 11]
  content["annotations"][-1]["segmentation"] = {"size": [40, 40], "counts": [0, 1600]}
  source = coco_miniature.write(folder / "coco", {"train": content, "val": content})
  return prepared.prepare(NAME, folder, source=source)[0]


def store(folder: pathlib.Path, facts: dict[str, Any], **model: Any) -> pathlib.Path:
  """A checkpoint of random weights, which takes no compilation; `model` changes the config."""
  config = get_config().to_dict()
  config["model"] |= model
  variables = random_variables(build_model(**config["model"]))
  networks.export(folder, variables, {"config": config, "dataset": facts})
  return folder


def random_variables(model: Any) -> dict[str, Any]:
  """Weights that keep deviations about as they are from layer to layer."""
  rng = np.random.default_rng(0)
  shapes = traverse_util.flatten_dict(jax.eval_shape(lambda: init_variables(model, seed=0)))

  def value(leaf: str, shape: tuple[int, ...]) -> np.ndarray:
    if leaf == "kernel":
      return rng.standard_normal(shape, np.float32) / np.sqrt(np.prod(shape[:-1]))
    return rng.uniform(0.5, 1.5, shape) if leaf in ("scale", "var") else rng.normal(0, 0.1, shape)

  flat = {k: value(k[-1], v.shape).astype(v.dtype) for k, v in shapes.items()}
  return traverse_util.unflatten_dict(flat)
