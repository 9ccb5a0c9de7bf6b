"""The compared networks with their inputs: name -> config, config -> arrays of a batch.

Each case is the shipped config of a data set with another network and size of the batch, so that
both sides run what `train.py` would run. The data set need not be prepared.
"""

from collections.abc import Mapping
import dataclasses
import pathlib
from typing import Any

from ml_collections import ConfigDict
import numpy as np

import hrnet_jax
from hrnet_jax import config as configs

INPUTS, WEIGHTS = "inputs.npz", "weights.npz"  # files of a comparison's folder
_IGNORED_SHARE = 0.05  # of the pixels of label maps
_OPTIMIZER = {
  "name": "sgd",
  "learning_rate": 1e-3,
  "momentum": 0.9,
  "weight_decay": 5e-4,
  "clip_norm": 0.0,
  "schedule": {"name": "constant"},
}
Arrays = dict[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Case:
  """One network and the size of its batch.

  Attributes:
    dataset: whose config it is.
    variant: of the network.
    size: batch, height and width.
    changes: further values of the config by dotted key.
    network: task whose network it is, where that is not the data set's.
  """

  dataset: str
  variant: str
  size: tuple[int, int, int]
  changes: Mapping[str, Any] = dataclasses.field(default_factory=dict)
  network: str = ""

  def config(self) -> ConfigDict:
    """The whole experiment, new for each call."""
    config = dataset_config(self.dataset)
    count, *size = self.size
    train = config.transform.train
    train.crop_size = tuple(size) if isinstance(train.crop_size, tuple) else size[0]
    config.train.batch_size = count
    del config["optimizer"]
    config.optimizer = _OPTIMIZER
    with config.ignore_type():  # a key of the config may hold a name or numbers
      config.update_from_flattened_dict({"model.variant": self.variant, **self.changes})
    config.network = self.network
    return config


_PLAIN_LOSS = {"loss.class_weights": None}
CASES = {
  "w18_small_v1": Case("cityscapes", "w18_small_v1", (2, 360, 480), _PLAIN_LOSS),
  "w18": Case("cityscapes", "w18", (1, 512, 1024), _PLAIN_LOSS),
  "w48": Case("cityscapes", "w48", (1, 512, 1024), _PLAIN_LOSS),
  "w18_face68": Case("face68", "w18", (8, 256, 256)),
  "w18_imagenet": Case("imagenet", "w18", (8, 224, 224)),
  "w32_pose": Case(
    "landmarks_csv", "w32", (8, 256, 256), {"model.num_landmarks": 17}, network="pose"
  ),
}
# Measured with `--quick`, which shows whether everything runs, not how fast.
QUICK = {"w18_small_v1": Case("cityscapes", "w18_small_v1", (1, 64, 128), _PLAIN_LOSS)}


def dataset_config(dataset: str) -> ConfigDict:
  """Our config for a data set, whatever its task."""
  return configs.load(next(x for x in configs.names() if x.endswith(f"/{dataset}")))


def build_network(config: ConfigDict) -> Any:
  """The network of a case's config; pose has no data sets yet, and learns as landmarks do."""
  options = dict(config.model)
  if config.network:
    options.pop("representation", None)
    options["task"] = config.network
  return hrnet_jax.build_model(**options)


def from_json(values: Mapping[str, Any]) -> ConfigDict:
  """A config from the values of its JSON text, whose lists were tuples."""
  return ConfigDict({key: _tuples(value) for key, value in values.items()})


def make_inputs(config: ConfigDict, seed: int) -> Arrays:
  """Draws a batch: random images and what the network has to find in them.

  Args:
    config: its own transform says which arrays a batch has, and their shapes.
    seed: of everything.

  Returns:
    `image (B, H, W, 3)` uint8 and, as the config's batches have them, `label (B,)`, or
    `label (B, H, W)` in which some pixels are ignored, or `heatmap_points (B, L, 2)` with the heat
    maps `targets (B, h, w, L)` that they stand for.
  """
  from hrnet_jax.ops.targets import gaussian_targets
  from hrnet_jax.preflight import fake_data

  dataset, _ = fake_data.open_dataset(config)
  shapes = fake_data.batch_shapes(config, dataset)
  rng = np.random.default_rng(seed)
  arrays = {"image": rng.integers(0, 256, shapes["image"][0], dtype=np.uint8)}
  if "label" in shapes:
    shape, dtype = shapes["label"]
    label = rng.integers(0, config.model.num_classes, shape, dtype=dtype)
    if label.ndim == 3:
      ignored = rng.random(shape) < _IGNORED_SHARE
      label = np.where(ignored, dtype.type(config.loss.ignore), label)
    arrays["label"] = label
  if "heatmap_points" in shapes:
    shape, dtype = shapes["heatmap_points"]
    size = tuple(n // 4 for n in arrays["image"].shape[1:3])  # heat maps are at stride 4
    points = rng.integers(0, size[::-1], shape).astype(dtype)
    targets = np.asarray(gaussian_targets(points, size, config.loss.sigma))
    arrays |= {"heatmap_points": points, "targets": targets}
  return arrays


def read(folder: str, name: str) -> Arrays:
  """The arrays of a file of a comparison's folder."""
  with np.load(pathlib.Path(folder) / name) as file:
    return dict(file)


def _tuples(value: Any) -> Any:
  if isinstance(value, Mapping):
    return {key: _tuples(x) for key, x in value.items()}
  return tuple(map(_tuples, value)) if isinstance(value, list) else value
