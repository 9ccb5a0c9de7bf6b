"""How far landmarks are off: `points (B, L, 2) x 2 -> errors (B,)`, and figures of many errors.

The error of an image is the mean distance between predicted and true landmarks, divided by a size
of the face. Which size makes a factor of up to two, so that every figure goes with its name. All
errors are fractions, as in lib/core/evaluation.py of the reference; tables show percent.
"""

from collections.abc import Mapping, Sequence
import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from hrnet_jax.errors import UserError

Groups = Mapping[str, tuple[Sequence[int], Sequence[int]]]
BOXES = ("box_diagonal", "box_size")


def normalizing_distance(
  name: str,
  truth: jax.Array,
  box_size: jax.Array,
  groups: Groups,
  annotated: jax.Array | None = None,
) -> jax.Array:
  """Size of every face, `(B,)`, by which its distances are divided.

  A face that lacks a landmark of the two groups has no such distance, and its size is NaN. The box
  around its landmarks is that of those which are there, and of a single one NaN.

  Args:
    name: `box_size`, the side of the face's box as annotated; `box_diagonal`, the diagonal of the
      smallest upright box around the true landmarks; or a key of `groups`.
    truth: `(B, L, 2)` true landmarks in the image; NaN where one is missing.
    box_size: `(B,)` sides of the boxes in pixels.
    groups: of the data set: names of distances between the means of two groups of landmarks, e.g.
      `{"inter_ocular": ((36,), (45,))}`.
    annotated: `(B, L)`, False for landmarks that are missing; None where none is.

  Raises:
    ValueError: unknown `name`; lists those there are.
  """
  if name == "box_size":
    return box_size
  if name == "box_diagonal":
    if annotated is None:
      return jnp.linalg.norm(truth.max(1) - truth.min(1), axis=-1)
    there = annotated[..., None]
    extent = jnp.where(there, truth, -jnp.inf).max(1) - jnp.where(there, truth, jnp.inf).min(1)
    return jnp.where(annotated.sum(1) > 1, jnp.linalg.norm(extent, axis=-1), jnp.nan)
  if name not in groups:
    known = ", ".join(sorted({*BOXES, *groups}))
    raise UserError(f"unknown normalizer {name!r} for this data set; known: {known}")
  left, right = (truth[:, np.asarray(group, np.int32)].mean(1) for group in groups[name])
  return jnp.linalg.norm(left - right, axis=-1)


def image_errors(
  predictions: jax.Array,
  truth: jax.Array,
  distance: jax.Array,
  annotated: jax.Array | None = None,
) -> jax.Array:
  """Normalised mean error of every image, `(B,)`; all landmarks that are annotated count.

  Args:
    predictions: `(B, L, 2)` in the image.
    truth: `(B, L, 2)`.
    distance: `(B,)` sizes of the faces.
    annotated: `(B, L)`, False for landmarks that are missing; None where none is.
  """
  distances = jnp.linalg.norm(predictions - truth, axis=-1)
  if annotated is None:
    return distances.mean(-1) / distance
  return jnp.where(annotated, distances, 0).sum(-1) / annotated.sum(-1) / distance


def by_position(
  values: jax.Array, index: jax.Array, mask: jax.Array, num_examples: int
) -> jax.Array:
  """Values of a batch at their positions in the data set, zero elsewhere: they add up over batches.

  Args:
    values: `(B,)`.
    index: `(B,)` positions in the data set.
    mask: `(B,)`, False for examples that only fill up a batch.
    num_examples: of the data set.

  Returns:
    `(num_examples,)`.
  """
  position = jnp.where(mask, index, num_examples)
  return jnp.zeros(num_examples, values.dtype).at[position].add(values, mode="drop")


@dataclasses.dataclass(frozen=True)
class LandmarkScores:
  """Figures of the errors of a set of images.

  Attributes:
    nme: normalised mean error, the mean of the errors.
    failure_rate: share of the images whose error is greater than `threshold`.
    auc: area under the curve of cumulative errors up to `threshold`, divided by `threshold`.
    threshold: an error.
    count: number of images.
  """

  nme: float
  failure_rate: float
  auc: float
  threshold: float
  count: int


def scores(errors: np.ndarray, threshold: float) -> LandmarkScores:
  """Scores errors `(N,)`.

  The area is exact: that of the steps of the cumulative curve, `mean(max(0, 1 - error /
  threshold))`. Figures that are computed from samples of the curve are up to 0.001 larger.

  Raises:
    ValueError: there is no error, one is not a number (a face of size zero), or the threshold is
      not positive.
  """
  errors = _checked(errors)
  if not threshold > 0:
    raise UserError(f"the threshold is {threshold}, expected more than 0, such as 0.08")
  return LandmarkScores(
    nme=float(errors.mean()),
    failure_rate=float((errors > threshold).mean()),
    auc=float(np.maximum(1 - errors / threshold, 0).mean()),
    threshold=float(threshold),
    count=len(errors),
  )


def cumulative_shares(errors: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
  """Share of the images whose error is at most the threshold, for each: `(N,), (T,) -> (T,)`."""
  errors = np.sort(_checked(errors))
  return np.searchsorted(errors, thresholds, side="right") / len(errors)


def _checked(errors):
  errors = np.asarray(errors, np.float64)
  if errors.ndim != 1 or not errors.size:
    raise ValueError(f"errors have shape {errors.shape}, expected one number for each image")
  if bad := np.flatnonzero(~np.isfinite(errors)).tolist():
    raise UserError(
      f"the errors of {len(bad)} of {len(errors)} images are not finite, the first at position"
      f" {bad[0]}: its face has size zero, or the network's output is not a number"
    )
  return errors
