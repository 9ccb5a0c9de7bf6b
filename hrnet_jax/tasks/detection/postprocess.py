"""From scores and boxes of regions to the detections of an image: `(R, K + 1), (R, K, 4) -> D`."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from hrnet_jax.ops.boxes import Convention
from hrnet_jax.ops.nms import nms

NMS_IOU = 0.5
CANDIDATES = 5000  # pairs of region and class that are compared


class PaddedDetections(NamedTuple):
  """The objects found in an image, from the best down, padded to a fixed number.

  Attributes:
    boxes: `(D, 4)` in the image that the boxes were given in.
    scores: `(D,)`, 0 where there is no detection.
    classes: `(D,)` int32.
    valid: `(D,)` bool.
  """

  boxes: jax.Array
  scores: jax.Array
  classes: jax.Array
  valid: jax.Array


def detect(
  probabilities: jax.Array,
  boxes: jax.Array,
  valid: jax.Array,
  *,
  min_score: float,
  count: int,
  convention: Convention,
) -> PaddedDetections:
  """The best pairs of region and class that do not overlap others of their class.

  The reference compares all pairs above the threshold; here at most `CANDIDATES` of them, the best,
  which at a threshold of 0.05 is all that there are but for crowded images.

  Args:
    probabilities: `(R, K + 1)`, the background last.
    boxes: `(R, K, 4)`, or `(R, 1, 4)` where the classes share a box.
    valid: `(R,)` which regions there are.
    min_score: pairs at or below it do not count.
    count: D.
    convention: of the boxes.
  """
  classes = probabilities.shape[1] - 1
  scores = jnp.where(valid[:, None], probabilities[:, :-1], 0).reshape(-1)
  scores = jnp.where(scores > min_score, scores, 0)
  best, index = jax.lax.top_k(scores, min(CANDIDATES, scores.shape[0]))
  region, kind = index // classes, index % classes
  chosen = boxes[region, kind if boxes.shape[1] > 1 else 0]
  keep = nms(chosen, best, NMS_IOU, convention=convention, valid=best > 0, groups=kind)
  ranked = jnp.where(keep, best, 0)
  padding = max(count - ranked.shape[0], 0)
  ranked = jnp.pad(ranked, (0, padding))
  found, order = jax.lax.top_k(ranked, count)
  order = jnp.minimum(order, best.shape[0] - 1)
  real = found > 0
  return PaddedDetections(
    boxes=jnp.where(real[:, None], chosen[order], 0),
    scores=found,
    classes=jnp.where(real, kind[order], 0).astype(jnp.int32),
    valid=real,
  )
