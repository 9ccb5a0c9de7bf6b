"""Objects in images: `images (B, H, W, 3)` -> boxes `(B, D, 4)`, classes, scores and masks."""

from collections.abc import Callable, Mapping
import dataclasses
import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from hrnet_jax.data.dataset import Dataset, DatasetInfo
from hrnet_jax.errors import UserError
from hrnet_jax.models.network import build_model
from hrnet_jax.ops import boxes as box_ops
from hrnet_jax.ops import masks as mask_ops
from hrnet_jax.ops.normalize import IMAGENET, Normalize
from hrnet_jax.tasks.detection import loss as losses
from hrnet_jax.tasks.detection import metrics
from hrnet_jax.tasks.detection.detector import InferenceOutputs, LossInputs, TrainingOutputs
from hrnet_jax.tasks.detection.pictures import Objects, detections_panel, draw_objects
from hrnet_jax.tasks.detection.sampling import TrueObjects
from hrnet_jax.tasks.detection.scores import DetectionCollector, in_words, score
from hrnet_jax.tasks.interface import COMPARISON_NAMES, Batch, Sums, normalize_of
from hrnet_jax.visualize import contact_sheet

SHOWN = 0.3  # score from which on an object is drawn


@dataclasses.dataclass(frozen=True, kw_only=True)
class Detection:
  """Boxes, and with a mask head masks, of objects of K classes.

  Batch: `image (B, H, W, 3)` uint8, `image_size (B, 2)` without padding, `boxes (B, M, 4)`,
  `classes (B, M)`, `valid (B, M)`, `masks (B, M, h, w)` for mask heads and, in evaluation,
  `scale (B, 2)` and `original_size (B, 2)`, from which the scores come.

  Attributes:
    model: a `Detector`.
    class_names: K names.
    palette: K colours.
    truth: reads the objects of the split that is evaluated.
    normalize: makes the network's input of bytes.
  """

  model: nn.Module
  class_names: tuple[str, ...]
  palette: tuple[tuple[int, int, int], ...]
  truth: Callable[[], metrics.GroundTruth]
  normalize: Normalize = IMAGENET
  metric: str = "AP"

  def __post_init__(self):
    if len(self.class_names) != self.model.num_classes:
      raise UserError(
        f"model.num_classes is {self.model.num_classes}, but the data set has "
        f"{len(self.class_names)} classes; set model.num_classes to that"
      )

  def inputs(self, batch: Batch) -> dict[str, Any]:
    """Sizes of the images and, for training, their objects."""
    truth = TrueObjects(self._boxes(batch), batch["classes"], batch["valid"], batch.get("masks"))
    return {"size": batch["image_size"], "truth": truth}

  def outputs(self, variables: Any, images: jax.Array, **inputs: Any) -> InferenceOutputs:
    """Detections in normalised images."""
    return self.model.apply(variables, images, train=False, **inputs)

  def loss(self, outputs: TrainingOutputs, batch: Batch) -> tuple[jax.Array, dict[str, jax.Array]]:
    """Sum of the losses of all heads, and each of them; mmdet's `two_stage.py`."""
    del batch
    method, inputs = self.model.method, outputs.proposals
    classes, boxes = losses.rpn_losses(
      inputs.logits,
      inputs.deltas,
      inputs.targets,
      positive=inputs.positive,
      valid=inputs.valid,
      beta=method.rpn_beta,
    )
    parts = {"loss_proposals": classes, "loss_proposal_boxes": boxes}
    for number, (stage, stage_inputs) in enumerate(zip(method.stages, outputs.stages, strict=True)):
      name = f"_{number}" if len(method.stages) > 1 else ""
      for key, value in self._stage(stage_inputs).items():
        parts[f"{key}{name}"] = stage.weight * value
    return sum(parts.values()), parts

  def _stage(self, inputs: LossInputs) -> dict[str, jax.Array]:
    classes, boxes = losses.box_losses(
      inputs.logits,
      inputs.deltas,
      inputs.targets,
      labels=inputs.labels,
      objects=inputs.objects,
      positive=inputs.positive,
      valid=inputs.valid,
      beta=self.model.method.box_beta,
    )
    parts = {"loss_classes": classes, "loss_boxes": boxes}
    if inputs.mask_logits is not None:
      count = inputs.mask_logits.shape[1]
      parts["loss_masks"] = losses.mask_loss(
        inputs.mask_logits,
        inputs.mask_targets,
        objects=inputs.objects[:, :count],
        positive=inputs.positive[:, :count],
      )
    return parts

  def weight(self, batch: Batch) -> jax.Array:
    """The number of images, of each of which about equally many candidates are learned."""
    return jnp.asarray(batch["image"].shape[0], jnp.result_type(float))

  def metric_sums(self, outputs: InferenceOutputs, batch: Batch) -> Sums:
    """The number of images; everything else is gathered."""
    del outputs
    return {"images": batch["mask"].sum(dtype=jnp.int32)}

  def per_example_score(self, outputs: InferenceOutputs, batch: Batch) -> jax.Array:
    """Mean over an image's objects of the overlap with the best box of its class, `(B,)`."""
    found, valid = outputs.detections, batch["valid"]
    overlap = box_ops.iou(self._boxes(batch), found.boxes, self.model.method.convention)
    same = batch["classes"][:, :, None] == found.classes[:, None]
    best = jnp.where(same & found.valid[:, None], overlap, 0).max(-1)
    return jnp.where(valid, best, 0).sum(-1) / jnp.where(valid.any(-1), valid.sum(-1), jnp.nan)

  def _boxes(self, batch: Batch) -> jax.Array:
    """The true boxes, which end where their last pixel ends, in the network's convention."""
    boxes, offset = batch["boxes"], self.model.method.convention.offset
    return boxes - offset * jnp.array([0, 0, 1, 1], boxes.dtype)

  def collector(self) -> DetectionCollector:
    """Collects what is found in every image."""
    return DetectionCollector(self.model.method.convention)

  def report(self, sums: Mapping[str, Any]) -> dict[str, Any]:
    """COCO's figures of boxes (`AP`, ...) and masks (`mask_AP`, ...), in [0, 1], and by class."""
    kinds = metrics.KINDS if self.model.method.masks else metrics.KINDS[:1]
    return score(self.truth(), sums["detections"], kinds, self.class_names)

  def charts(self, sums: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """None."""
    del sums
    return {}

  def table(self, report: Mapping[str, Any]) -> str:
    """The figures in percent, and the precision of each class."""
    return in_words(report)

  def predict(self, outputs: InferenceOutputs, size: tuple[int, int]) -> dict[str, jax.Array]:
    """Fields of `PaddedDetections`, `(B, D, ...)`, and `masks (B, D, 28, 28)` if there are any."""
    del size
    masks = {} if outputs.masks is None else {"masks": outputs.masks}
    return outputs.detections._asdict() | masks

  def picture(
    self, image: np.ndarray, prediction: Any, example: Mapping[str, np.ndarray]
  ) -> np.ndarray:
    """Found objects beside the true ones."""
    return detections_panel(
      image,
      self._found(prediction, image),
      self._true(example, image),
      self.palette,
      self.class_names,
      title=str(example.get("name", "")),
      threshold=SHOWN,
    )

  def comparison(
    self, image: np.ndarray, first: Any, second: Any, example: Mapping[str, np.ndarray]
  ) -> np.ndarray:
    """Objects that two networks found beside the true ones."""
    objects = [self._found(x, image) for x in (first, second)]
    shown = [*(x.chosen(x.scores >= SHOWN) for x in objects), self._true(example, image)]
    tiles = [draw_objects(image, x, self.palette, self.class_names) for x in shown]
    return contact_sheet(tiles, titles=(*COMPARISON_NAMES, "truth"), columns=3)

  def _found(self, prediction: Mapping[str, np.ndarray], image: np.ndarray) -> Objects:
    rows = np.flatnonzero(prediction["valid"])
    return self._objects(
      image,
      prediction["boxes"][rows],
      prediction["classes"][rows],
      prediction["scores"][rows],
      prediction["masks"][rows] if "masks" in prediction else None,
    )

  def _true(self, example: Mapping[str, np.ndarray], image: np.ndarray) -> Objects:
    rows = np.flatnonzero(example["valid"])
    masks = example["masks"][rows] / 255 if "masks" in example else None
    return self._objects(image, example["boxes"][rows], example["classes"][rows], None, masks)

  def _objects(self, image, boxes, classes, scores, masks):
    if masks is not None:
      convention = self.model.method.convention
      pasted = zip(masks, boxes, strict=True)
      masks = [mask_ops.paste(x, y, image.shape[:2], convention=convention) for x, y in pasted]
    return Objects(boxes, classes, scores, masks)


def build(config: Any, dataset: DatasetInfo) -> Detection:
  """Builds the task from a config and the facts of its data set."""
  ids = dataset.class_ids or tuple(range(1, len(dataset.class_names) + 1))

  def truth() -> metrics.GroundTruth:
    # Asked for by scores alone, and what is scored has records; predictions need none.
    assert isinstance(dataset, Dataset)
    return metrics.GroundTruth.of(dataset.source(config.data.eval_split), ids)

  return Detection(
    model=build_model(**config.model),
    normalize=normalize_of(config),
    class_names=dataset.class_names,
    palette=dataset.palette,
    truth=functools.cache(truth),
    **config.loss,
  )
