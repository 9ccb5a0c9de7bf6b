"""Semantic segmentation: `images (B, H, W, 3)` -> class of every pixel `(B, H, W)`."""

from collections.abc import Mapping
import dataclasses
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from hrnet_jax.data.dataset import DatasetInfo
from hrnet_jax.errors import UserError
from hrnet_jax.models.network import build_model
from hrnet_jax.ops.normalize import IMAGENET, Normalize
from hrnet_jax.ops.resize import Resize, resize
from hrnet_jax.tasks.interface import COMPARISON_NAMES, Batch, Sums, normalize_of
from hrnet_jax.tasks.segmentation.loss import (
  HardExamples,
  cross_entropy,
  dense_cross_entropy,
  hard_cross_entropy,
  total_weight,
)
from hrnet_jax.tasks.segmentation.metrics import confusion_matrix, scores
from hrnet_jax.tasks.segmentation.pictures.comparison import comparison_panel
from hrnet_jax.tasks.segmentation.pictures.confusion import confusion_matrix as draw_confusion
from hrnet_jax.tasks.segmentation.pictures.panel import segmentation_panel

DATASET = "dataset"  # a value of `config.loss.class_weights`


@dataclasses.dataclass(frozen=True, kw_only=True)
class Segmentation:
  """Dense classification with an ignored label.

  Batch: `image (B, H, W, 3) uint8`, `label (B, H, W) uint8` and, in evaluation,
  `mask (B,) bool`. Model output: logits `(B, H / 4, W / 4, K)`, or a tuple of them of which the
  last is the prediction and the others are auxiliary.

  Attributes:
    model: the network.
    num_classes: K.
    upsample: how logits reach the size of the labels: as inside the network.
    class_names: K names for reports.
    palette: K RGB colours for pictures.
    ignore: label of the pixels that do not count.
    class_weights: K weights of the loss, all one when empty; `dataset` stands for the published
      weights of the data set.
    aux_weights: weights of the losses of the outputs, in their order.
    hard: which pixels the loss of the last output keeps; all when None.
    normalize: makes the network's input of bytes.
  """

  model: nn.Module
  num_classes: int
  upsample: Resize
  class_names: tuple[str, ...]
  palette: tuple[tuple[int, int, int], ...]
  ignore: int = 255
  class_weights: tuple[float, ...] | str = ()
  aux_weights: tuple[float, ...] = (1.0,)
  hard: HardExamples | None = None
  normalize: Normalize = IMAGENET
  metric: str = "mean_iou"

  def __post_init__(self):
    if self.num_classes < 2:
      raise UserError(
        f"model.num_classes is {self.num_classes}, but a softmax over one class learns nothing; "
        "write two, such as background and object"
      )
    for field in ("class_names", "palette"):
      if len(getattr(self, field)) != self.num_classes:
        raise UserError(
          f"model.num_classes is {self.num_classes}, but the data set has "
          f"{len(getattr(self, field))} {field}; set model.num_classes to that"
        )
    weights = self.class_weights
    if isinstance(weights, str):
      if weights != DATASET:
        raise UserError(f"loss.class_weights is {weights!r}, expected {DATASET!r} or numbers")
    elif weights and len(weights) != self.num_classes:
      raise UserError(
        f"loss.class_weights has {len(weights)} values for {self.num_classes} classes"
      )

  def inputs(self, batch: Batch) -> dict[str, Any]:
    """None."""
    del batch
    return {}

  def outputs(self, variables: Any, images: jax.Array, **inputs: Any) -> Any:
    """Logits of normalised images, at stride 4; a tuple with auxiliary ones before the last."""
    del inputs
    return self.model.apply(variables, images, train=False)

  def loss(self, outputs: Any, batch: Batch) -> tuple[jax.Array, dict[str, jax.Array]]:
    """Balanced sum of the losses of all outputs at the labels' size.

    Each is the mean cross entropy; see `losses.segmentation`. With hard examples the last output's
    is that of the pixels kept, and the others' are means over all pixels, ignored ones included,
    as the reference has them.

    Raises:
      ValueError: `class_weights` is `dataset`, and the data set has none.
    """
    labels = batch["label"]
    losses = self._losses([self._enlarge(x, labels.shape[1:3]) for x in self._all(outputs)], labels)
    total = sum(w * x for w, x in zip(self.aux_weights, losses, strict=True))
    return total, {f"loss_{k}": x for k, x in enumerate(losses)} if len(losses) > 1 else {}

  def weight(self, batch: Batch) -> jax.Array:
    """The weights of the pixels that count, in sum; with hard examples the number of images.

    Hard examples are selected in each part of a batch on its own, so that `k` parts with
    `hard.num_groups` each are one batch with `k * hard.num_groups` groups.
    """
    if self.hard is not None:
      return jnp.asarray(batch["label"].shape[0], jnp.result_type(float))
    return total_weight(batch["label"], **self._pixels)

  def metric_sums(self, outputs: Any, batch: Batch) -> Sums:
    """Confusion matrix `(K, K)`, true classes in rows."""
    labels = jnp.where(batch["mask"][:, None, None], batch["label"], self.ignore)
    predictions = self.predict(outputs, labels.shape[1:3])
    return {"confusion": confusion_matrix(labels, predictions, self.num_classes, self.ignore)}

  def per_example_score(self, outputs: Any, batch: Batch) -> jax.Array:
    """Mean IoU over the classes that an image has in truth or prediction, `(B,)`."""
    labels = batch["label"]
    predictions = self.predict(outputs, labels.shape[1:3])

    def one(label: jax.Array, prediction: jax.Array) -> jax.Array:
      matrix = confusion_matrix(label, prediction, self.num_classes, self.ignore)
      right = matrix.diagonal()
      union = matrix.sum(0) + matrix.sum(1) - right
      return (right / jnp.maximum(union, 1)).sum() / (union > 0).sum()

    return jax.vmap(one)(labels, predictions)

  def collector(self) -> None:
    """None; the sums say it all."""

  def report(self, sums: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """IoU by class, their mean, and pixel and mean accuracy, all in [0, 1]; the totals themselves.

    `confusion` has a row for each true class and a column for each predicted one, in pixels.
    """
    s = scores(sums["confusion"])
    return {
      "mean_iou": s.mean_iou,
      "pixel_accuracy": s.pixel_accuracy,
      "mean_accuracy": s.mean_accuracy,
      "pixels": int(s.support.sum()),
      "iou": dict(zip(self.class_names, s.iou.tolist(), strict=True)),
      "support": dict(zip(self.class_names, s.support.tolist(), strict=True)),
      "confusion": np.asarray(sums["confusion"]).tolist(),
    }

  def table(self, report: Mapping[str, Any]) -> str:
    """One line for each class, then the means, in percent."""
    width = max(len("pixel accuracy"), *map(len, self.class_names))
    lines = [f"{'class':<{width}}  IoU %  pixels %"]
    for name, iou in report["iou"].items():
      share = report["support"][name] / max(report["pixels"], 1)
      lines.append(f"{name:<{width}}  {100 * iou:5.2f}  {100 * share:8.2f}")
    lines += ["-" * len(lines[0])]
    for key in ("mean_iou", "pixel_accuracy", "mean_accuracy"):
      lines.append(f"{key.replace('_', ' '):<{width}}  {100 * report[key]:5.2f}")
    return "\n".join(lines)

  def predict(self, outputs: Any, size: tuple[int, int]) -> jax.Array:
    """Class of every pixel, `(B, *size)` uint8."""
    return self._scores(outputs, size).argmax(-1).astype(jnp.uint8)

  def probabilities(self, outputs: Any, size: tuple[int, int]) -> jax.Array:
    """Probability of every class at every pixel, `(B, *size, K)` float32."""
    return jax.nn.softmax(self._scores(outputs, size))

  def _scores(self, outputs: Any, size: tuple[int, int]) -> jax.Array:
    """Those of the main output, `(B, *size, K)`."""
    return self._enlarge(outputs[-1] if isinstance(outputs, tuple) else outputs, size)

  def charts(self, sums: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The confusion matrix."""
    return {"confusion": draw_confusion(sums["confusion"], self.class_names)}

  def picture(
    self, image: np.ndarray, prediction: np.ndarray, example: Mapping[str, np.ndarray]
  ) -> np.ndarray:
    """Image, prediction, truth and errors side by side."""
    return segmentation_panel(image, prediction, example["label"], self.palette, self.class_names)

  def comparison(
    self,
    image: np.ndarray,
    first: np.ndarray,
    second: np.ndarray,
    example: Mapping[str, np.ndarray],
  ) -> np.ndarray:
    """Truth, both predictions, and where only one of them is right."""
    return comparison_panel(
      image, example["label"], first, second, self.palette, self.class_names, names=COMPARISON_NAMES
    )

  @property
  def _pixels(self) -> dict[str, Any]:
    """Which pixels the losses count, and how much."""
    if self.class_weights == DATASET:
      raise UserError(
        f"loss.class_weights is {DATASET!r}, but this data set has no published weights; give "
        f"{self.num_classes} numbers, or () for none"
      )
    return {"ignore": self.ignore, "class_weights": self.class_weights or None}

  def _losses(self, logits: list[jax.Array], labels: jax.Array) -> list[jax.Array]:
    options = self._pixels
    if self.hard is None:
      return [cross_entropy(x, labels, **options) for x in logits]
    *auxiliary, main = logits
    losses = [dense_cross_entropy(x, labels, **options) for x in auxiliary]
    return [*losses, hard_cross_entropy(main, labels, self.hard, **options)]

  def _all(self, outputs: Any) -> tuple[jax.Array, ...]:
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    if len(outputs) != len(self.aux_weights):
      raise UserError(
        f"loss.aux_weights has {len(self.aux_weights)} weights for the {len(outputs)} outputs of "
        "the model"
      )
    return outputs

  def _enlarge(self, logits: jax.Array, size: tuple[int, int]) -> jax.Array:
    return resize(
      logits.astype(jnp.promote_types(logits.dtype, jnp.float32)), size, self.upsample.for_outputs
    )


def build(config: Any, dataset: DatasetInfo) -> Segmentation:
  """Builds the task from a config and the facts of its data set.

  Besides fields of `Segmentation`, `config.loss` may hold `ohem`, the fields of `HardExamples`; an
  empty `ohem` is none.
  """
  # Empty values stand for the defaults.
  loss = {key: value for key, value in config.loss.items() if value not in (None, (), [])}
  if ohem := loss.pop("ohem", None):
    loss["hard"] = HardExamples(**ohem)
  if loss.get("class_weights") == DATASET:
    # Converted checkpoints may not know them; predictions need none.
    loss["class_weights"] = dataset.class_weights or DATASET
  model = build_model(**config.model)
  return Segmentation(
    model=model,
    normalize=normalize_of(config),
    num_classes=model.head.num_outputs,
    upsample=model.backbone.upsample,
    class_names=dataset.class_names,
    palette=dataset.palette,
    **loss,
  )
