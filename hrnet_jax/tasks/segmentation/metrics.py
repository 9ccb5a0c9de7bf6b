"""Confusion matrix and what follows from it: `labels (B, H, W) x 2 -> (K, K)`."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np


def confusion_matrix(
  labels: jax.Array, predictions: jax.Array, num_classes: int, ignore: int
) -> jax.Array:
  """Counts pixels by true class (row) and predicted class (column).

  Labels outside the classes are in no row, as in lib/utils/utils.py `get_confusion_matrix`.

  Args:
    labels: `(B, H, W)` integers.
    predictions: `(B, H, W)` integers in `[0, num_classes)`.
    num_classes: K.
    ignore: label of the pixels that do not count.

  Returns:
    `(K, K)` int32, exact while one batch has fewer than 2**31 pixels; add batches in int64.
  """
  labels, predictions = labels.astype(jnp.int32), predictions.astype(jnp.int32)
  counts = (labels != ignore) & (labels >= 0) & (labels < num_classes)
  cells = jnp.where(counts, labels * num_classes + predictions, num_classes**2)
  histogram = jnp.bincount(cells.ravel(), length=num_classes**2 + 1)
  return histogram[:-1].reshape(num_classes, num_classes).astype(jnp.int32)


@dataclasses.dataclass(frozen=True)
class SegmentationScores:
  """Figures of one confusion matrix, as `testval` in lib/core/function.py computes them.

  Attributes:
    iou: `(K,)` float64, intersection over union; 0 for a class that occurs nowhere.
    mean_iou: mean over all K classes, absent ones included as 0.
    pixel_accuracy: share of the counted pixels that are right.
    mean_accuracy: mean over all classes of the share of their pixels that are right.
    support: `(K,)` int64, pixels of each true class.
  """

  iou: np.ndarray
  mean_iou: float
  pixel_accuracy: float
  mean_accuracy: float
  support: np.ndarray


def scores(confusion: np.ndarray) -> SegmentationScores:
  """Scores a `(K, K)` matrix with true classes in its rows."""
  confusion = np.asarray(confusion, np.int64)
  right, support = confusion.diagonal(), confusion.sum(1)
  union = support + confusion.sum(0) - right
  iou = right / np.maximum(union, 1)
  return SegmentationScores(
    iou=iou,
    mean_iou=float(iou.mean()),
    pixel_accuracy=float(right.sum() / max(support.sum(), 1)),
    mean_accuracy=float((right / np.maximum(support, 1)).mean()),
    support=support,
  )
