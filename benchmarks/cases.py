"""The networks that are compared, with inputs and weights: case -> folder of arrays.

Arrays: `image (B, H, W, 3)` uint8 and, by the task, `label (B, H, W)` or `(B,)`, or
`heatmap_points (B, L, 2)` with the heat maps `targets (B, h, w, L)` that they stand for.
"""

from collections.abc import Mapping
import dataclasses
import pathlib
from typing import Any

import numpy as np

UPSAMPLE, IGNORE, SIGMA, STRIDE = "bilinear", 255, 1.5, 4
MOMENTUM, WEIGHT_DECAY, LEARNING_RATE = 0.9, 5e-4, 1e-3
INPUTS, WEIGHTS = "inputs.npz", "weights.npz"
Arrays = dict[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Case:
  """One network and the size of its batch.

  Attributes:
    task: `segmentation`, `landmarks` or `classification`.
    network: `{"variant": name}`, or the fields of a `HRNetConfig`.
    size: batch, height and width.
    outputs: classes or landmarks.
  """

  task: str
  network: Mapping[str, Any]
  size: tuple[int, int, int]
  outputs: int

  def __str__(self) -> str:
    return f"{self.task} {'x'.join(map(str, self.size))}"

  @property
  def model(self) -> dict[str, Any]:
    """Keywords of `build_model`; in loops, as all configs have it."""
    count = "num_landmarks" if self.task == "landmarks" else "num_classes"
    options = {"upsample": UPSAMPLE} if self.task == "segmentation" else {}
    return {"task": self.task, **self.network, **options, count: self.outputs, "scan_layers": True}

  def plain(self) -> dict[str, Any]:
    """Values for JSON, from which `Case(**values)` makes the case again."""
    return dataclasses.asdict(self)


CASES = {
  "w18_small_v1": Case("segmentation", {"variant": "w18_small_v1"}, (2, 360, 480), 19),
  "w18": Case("segmentation", {"variant": "w18"}, (1, 512, 1024), 19),
  "w48": Case("segmentation", {"variant": "w48"}, (1, 512, 1024), 19),
  "w18_landmarks": Case("landmarks", {"variant": "w18"}, (8, 256, 256), 68),
  "w18_classification": Case("classification", {"variant": "w18"}, (8, 224, 224), 1000),
}
# What `--quick` measures: whether everything runs, not how fast.
QUICK = {"w18_small_v1": Case("segmentation", {"variant": "w18_small_v1"}, (1, 64, 128), 19)}


def write(case: Mapping[str, Any], folder: str, seed: int = 0) -> Any:
  """Writes inputs and weights; a target of `apart`, so that the parent needs neither library."""
  from benchmarks import apart, theirs

  case = Case(**case)
  arrays = inputs(case, seed)
  np.savez(pathlib.Path(folder) / INPUTS, **arrays)
  np.savez(pathlib.Path(folder) / WEIGHTS, **theirs.random_weights(case, arrays["image"], seed))
  return apart.Rival({}, lambda calls: 0.0)


def inputs(case: Case, seed: int) -> Arrays:
  """Random images and what the network has to find in them; some pixels are ignored."""
  rng = np.random.default_rng(seed)
  count, height, width = case.size
  arrays = {"image": rng.integers(0, 256, (*case.size, 3), dtype=np.uint8)}
  if case.task == "segmentation":
    label = rng.integers(0, case.outputs, case.size, dtype=np.uint8)
    return arrays | {"label": np.where(rng.random(case.size) < 0.05, np.uint8(IGNORE), label)}
  if case.task == "classification":
    return arrays | {"label": rng.integers(0, case.outputs, count, dtype=np.int32)}
  size = (height // STRIDE, width // STRIDE)
  points = rng.integers(0, size[::-1], (count, case.outputs, 2)).astype(np.float32)
  return arrays | {"heatmap_points": points, "targets": _heat_maps(points, size)}


def read(folder: str, name: str) -> Arrays:
  """The arrays of a file of the folder."""
  with np.load(pathlib.Path(folder) / name) as file:
    return dict(file)


def _heat_maps(points: np.ndarray, size: tuple[int, int]) -> np.ndarray:
  from hrnet_jax.tasks.landmarks.task import TARGETS

  return np.asarray(TARGETS["rounded"](points, size, SIGMA))
