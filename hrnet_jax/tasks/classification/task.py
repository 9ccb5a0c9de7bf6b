"""Classification of whole images: `images (B, H, W, 3)` -> the best classes `(B, k)`."""

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
from hrnet_jax.tasks.classification import pictures
from hrnet_jax.tasks.classification.loss import cross_entropy, nll
from hrnet_jax.tasks.classification.metrics import rank
from hrnet_jax.tasks.interface import COMPARISON_NAMES, Batch, Sums, normalize_of
from hrnet_jax.visualize import contact_sheet

BEST = 5  # classes that are predicted for an image, of as many as there are
_MAX_ROWS = 100  # of the table of classes


@dataclasses.dataclass(frozen=True, kw_only=True)
class Classification:
  """One class for each image.

  Batch: `image (B, H, W, 3) uint8`, `label (B,) int32` and, in evaluation, `mask (B,) bool`.
  Model output: logits `(B, K)`.

  Attributes:
    model: the network.
    num_classes: K.
    class_names: K names for reports.
    label_smoothing: of the training loss; see `cross_entropy`.
    normalize: makes the network's input of bytes.
  """

  model: nn.Module
  num_classes: int
  class_names: tuple[str, ...]
  label_smoothing: float = 0.0
  normalize: Normalize = IMAGENET
  metric: str = "top1"

  def __post_init__(self):
    if len(self.class_names) != self.num_classes:
      raise UserError(
        f"model.num_classes is {self.num_classes}, but the data set has {len(self.class_names)} "
        "classes; set model.num_classes to that"
      )
    if not 0 <= self.label_smoothing < 1:
      raise UserError(f"loss.label_smoothing is {self.label_smoothing}, expected 0 <= it < 1")

  def inputs(self, batch: Batch) -> dict[str, Any]:
    """None."""
    del batch
    return {}

  def outputs(self, variables: Any, images: jax.Array, **inputs: Any) -> jax.Array:
    """Logits `(B, K)` of normalised images."""
    del inputs
    return self.model.apply(variables, images, train=False)

  def loss(self, logits: jax.Array, batch: Batch) -> tuple[jax.Array, dict[str, jax.Array]]:
    """Mean cross entropy, and the share of the batch that is right."""
    labels = batch["label"]
    loss = cross_entropy(logits, labels, label_smoothing=self.label_smoothing)
    return loss, {"top1": (rank(logits, labels) < 1).mean()}

  def weight(self, batch: Batch) -> jax.Array:
    """The number of examples."""
    return jnp.asarray(batch["label"].shape[0], jnp.result_type(float))

  def metric_sums(self, logits: jax.Array, batch: Batch) -> Sums:
    """Right examples and examples by class `(K,)`, those in the best five, and the loss."""
    labels, mask = batch["label"], batch["mask"]
    place = rank(logits, labels)
    member = (labels[:, None] == jnp.arange(self.num_classes)) & mask[:, None]
    return {
      "right": (member & (place < 1)[:, None]).sum(0, dtype=jnp.int32),
      "support": member.sum(0, dtype=jnp.int32),
      "top5": (mask & (place < BEST)).sum(dtype=jnp.int32),
      "nll": jnp.where(mask, nll(logits, labels), 0).sum(),
    }

  def per_example_score(self, logits: jax.Array, batch: Batch) -> jax.Array:
    """Probability of the true class, `(B,)`."""
    return jnp.exp(-nll(logits, batch["label"]))

  def collector(self) -> None:
    """None; the sums say it all."""

  def report(self, sums: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Shares in [0, 1] of images whose class is the best, or among the best five; mean loss.

    With five classes or fewer there is no `top5`; with up to a hundred there are shares by class.
    The loss is that without label smoothing.
    """
    right, support = sums["right"], sums["support"]
    count = max(int(support.sum()), 1)
    report = {"top1": float(right.sum() / count)}
    if self.num_classes > BEST:
      report["top5"] = float(sums["top5"] / count)
    report |= {"loss": float(sums["nll"] / count), "images": int(support.sum())}
    if self.num_classes <= _MAX_ROWS:
      shares = (right / np.maximum(support, 1)).tolist()
      report["accuracy"] = dict(zip(self.class_names, shares, strict=True))
      report["support"] = dict(zip(self.class_names, support.tolist(), strict=True))
    return report

  def table(self, report: Mapping[str, Any]) -> str:
    """One line for each class unless there are many, then the totals, in percent."""
    width = max([len("images"), *map(len, report.get("accuracy", ()))])
    lines = []
    if "accuracy" in report:
      lines.append(f"{'class':<{width}}  right %  images")
      for name, share in report["accuracy"].items():
        lines.append(f"{name:<{width}}  {100 * share:7.2f}  {report['support'][name]:6d}")
      lines.append("-" * len(lines[0]))
    for key in ("top1", "top5"):
      if key in report:
        lines.append(f"{key:<{width}}  {100 * report[key]:7.2f}")
    lines.append(f"{'loss':<{width}}  {report['loss']:7.4f}")
    lines.append(f"{'images':<{width}}  {report['images']:7d}")
    return "\n".join(lines)

  def predict(self, logits: jax.Array, size: tuple[int, int]) -> dict[str, jax.Array]:
    """The best classes, best first: `classes (B, k) int32` and their `scores (B, k)`."""
    del size
    scores, classes = jax.lax.top_k(jax.nn.softmax(logits), min(BEST, self.num_classes))
    return {"classes": classes, "scores": scores}

  def charts(self, sums: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """None; a thousand classes make no picture."""
    del sums
    return {}

  def picture(
    self,
    image: np.ndarray,
    prediction: Mapping[str, np.ndarray],
    example: Mapping[str, np.ndarray],
  ) -> np.ndarray:
    """The image beside the best classes with their scores; the true one stands out."""
    names = [self.class_names[i] for i in prediction["classes"]]
    truth = self.class_names[example["label"]]
    return pictures.draw(image, names, prediction["scores"].tolist(), truth=truth)

  def comparison(
    self,
    image: np.ndarray,
    first: Mapping[str, np.ndarray],
    second: Mapping[str, np.ndarray],
    example: Mapping[str, np.ndarray],
  ) -> np.ndarray:
    """The pictures of both, one beside the other."""
    pictures = [self.picture(image, prediction, example) for prediction in (first, second)]
    return contact_sheet(pictures, titles=COMPARISON_NAMES, columns=2)


def build(config: Any, dataset: DatasetInfo) -> Classification:
  """Builds the task from a config and the facts of its data set."""
  model = build_model(**config.model)
  return Classification(
    model=model,
    normalize=normalize_of(config),
    num_classes=model.head.num_outputs,
    class_names=dataset.class_names,
    **config.loss,
  )
