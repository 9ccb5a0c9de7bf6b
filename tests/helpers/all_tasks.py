"""Every task with a network that compiles in seconds: `dtype -> task`, and batches for it."""

from collections.abc import Callable
import dataclasses
import functools
from typing import Any

import numpy as np

import hrnet_jax
from hrnet_jax.ops.resize import Resize
from hrnet_jax.tasks.classification.task import Classification
from hrnet_jax.tasks.detection import metrics
from hrnet_jax.tasks.detection.task import Detection
from hrnet_jax.tasks.landmarks.task import Landmarks
from hrnet_jax.tasks.segmentation.loss import HardExamples
from hrnet_jax.tasks.segmentation.task import Segmentation
from tests.helpers import toy

COUNT = 3  # of classes and of landmarks
TRUNK = {key: toy.MODEL[key] for key in toy.MODEL.keys() - {"task", "num_classes"}}
CLASS_WEIGHTS = (1.0, 0.5, 2.0)
HARD = HardExamples(threshold=0.4, min_kept=500, num_groups=2)


def build(dtype: str, **options: Any) -> Any:
  return hrnet_jax.build_model(**TRUNK | {"dtype": dtype} | options)


def segmentation(dtype: str) -> Segmentation:
  return toy.make_task(build(dtype, task="segmentation", num_classes=COUNT))


def scanned(dtype: str) -> Segmentation:
  """Twice as deep, with loops."""
  deeper = {"modules": (1, 2, 2), "blocks": 2, "bottlenecks": 2, "scan_layers": True}
  return toy.make_task(build(dtype, task="segmentation", num_classes=COUNT, **deeper))


def two_outputs(dtype: str) -> Segmentation:
  """The object-contextual head without dropout; classes of different weight."""
  aligned = Resize.BILINEAR_ALIGNED
  model = build(dtype, task="segmentation", num_classes=COUNT, head="ocr", upsample=aligned)
  head = dataclasses.replace(model.head, dropout=0.0, width=8, key_width=4)
  return dataclasses.replace(
    toy.make_task(dataclasses.replace(model, head=head)),
    upsample=aligned,
    aux_weights=(0.4, 1.0),
    class_weights=CLASS_WEIGHTS,
  )


def hard_examples(dtype: str) -> Segmentation:
  return dataclasses.replace(two_outputs(dtype), hard=HARD)


def landmarks(dtype: str) -> Landmarks:
  return landmarks_of(build(dtype, task="landmarks", num_landmarks=COUNT))


def classification(dtype: str) -> Classification:
  model = build(dtype, task="classification", num_classes=COUNT, upsample="nearest")
  return classification_of(model)


def detection(dtype: str, method: str) -> Detection:
  """A detector whose norms learn, in scenes without images of a data set."""
  model = build(
    dtype,
    task="detection",
    num_classes=COUNT,
    method=method,
    roi_batch_size=16,
    norm_eval=False,
    upsample="nearest",
  )
  names = tuple(f"class {k}" for k in range(COUNT))
  nothing = metrics.GroundTruth(images=(), annotations=(), class_ids=tuple(range(COUNT)))
  return Detection(
    model=model, class_names=names, palette=((0, 0, 0),) * COUNT, truth=lambda: nothing
  )


def landmarks_of(model: Any) -> Landmarks:
  return Landmarks(model=model, num_landmarks=COUNT, sigma=1.5, targets="gaussian")


def classification_of(model: Any) -> Classification:
  names = tuple(f"class {k}" for k in range(COUNT))
  return Classification(model=model, num_classes=COUNT, class_names=names, label_smoothing=0.1)


TASKS: dict[str, Callable[[str], Any]] = {
  "segmentation": segmentation,
  "scanned": scanned,
  "two_outputs": two_outputs,
  "hard_examples": hard_examples,
  "landmarks": landmarks,
  "classification": classification,
}
# Two stages, and outputs that are not all numbers of one kind.
DETECTORS: dict[str, Callable[[str], Any]] = {
  name: functools.partial(detection, method=name) for name in ("mask_rcnn", "cascade_rcnn")
}


def make_batch(task: Any, size: tuple[int, int, int]) -> dict[str, np.ndarray]:
  """Random images `size` (B, H, W), and what the task wants to know about them."""
  rng, (count, height, width) = np.random.default_rng(0), size
  batch = toy.make_batch(size)
  if isinstance(task, Landmarks):
    # In float64: the targets of a float64 network are as exact as the positions.
    points = rng.uniform(0, (width / 4, height / 4), (count, COUNT, 2))
    return {"image": batch["image"], "heatmap_points": points}
  if isinstance(task, Classification):
    return {"image": batch["image"], "label": rng.integers(0, COUNT, count).astype(np.int32)}
  if isinstance(task, Detection):
    return {"image": batch["image"]} | make_objects(rng, size)
  return batch


def make_objects(rng: np.random.Generator, size: tuple[int, int, int]) -> dict[str, np.ndarray]:
  """None to three objects in each of `size` (B, H, W) images, the second of which are padded."""
  count, height, width = size
  extent = np.tile(np.float32([height, width]), (count, 1))
  extent[1::2] -= (24, 8)
  corner = rng.uniform(0, 1, (count, COUNT, 2)) * (extent[:, None, ::-1] - 24)
  valid = np.arange(COUNT) < (np.arange(count) % (COUNT + 1))[:, None]
  boxes = np.concatenate([corner, corner + rng.uniform(12, 24, corner.shape)], -1)
  return {
    "image_size": extent,
    "boxes": np.where(valid[..., None], boxes, 0).astype(np.float32),
    "classes": rng.integers(0, COUNT, valid.shape).astype(np.int32),
    "valid": valid,
    "masks": rng.integers(0, 256, (*valid.shape, 14, 14)).astype(np.uint8),
  }
