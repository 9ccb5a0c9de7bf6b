"""Sampling of the anchors and proposals that heads learn from, all for one image."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from hrnet_jax.ops import anchors, masks
from hrnet_jax.ops.boxes import BoxCoder, Convention
from hrnet_jax.ops.matching import Matcher, Sample, match, prepend_truths, sample
from hrnet_jax.tasks.detection.methods import BoxStage, DetectionMethod
from hrnet_jax.tasks.detection.proposals import STDS

STRIDES = (4, 8, 16, 32, 64)
NUM_ANCHORS = 256  # of an image that the proposal head learns from
POSITIVE_ANCHORS, POSITIVE_PROPOSALS = 0.5, 0.25  # at most this part of them has an object
ANCHOR_MATCHER = Matcher(positive=0.7, negative=0.3, min_positive=0.3, low_quality=True)


def max_positive(method: DetectionMethod) -> int:
  """The most proposals of an image that have an object."""
  return int(method.roi_batch_size * POSITIVE_PROPOSALS)


class TrueObjects(NamedTuple):
  """The objects of an image, padded.

  Attributes:
    boxes: `(M, 4)` in pixels of the network's input.
    classes: `(M,)` int32.
    valid: `(M,)` bool.
    masks: `(M, h, w)` uint8 within the boxes, or None.
  """

  boxes: jax.Array
  classes: jax.Array
  valid: jax.Array
  masks: jax.Array | None = None


class Proposals(NamedTuple):
  """Boxes `(R, 4)` of an image, and which of them there are, `(R,)`."""

  boxes: jax.Array
  valid: jax.Array


def sample_anchors(
  key: jax.Array,
  size: jax.Array,
  truth: TrueObjects,
  *,
  shapes: tuple[tuple[int, int], ...],
  method: DetectionMethod,
) -> tuple[jax.Array, dict[str, jax.Array]]:
  """The anchors that the proposal head learns from.

  Args:
    key: of the random choice.
    size: `(2,)` height and width of the image without padding.
    truth: its objects.
    shapes: height and width of each level.
    method: of the detector.

  Returns:
    Their indices `(S,)`, and fields of `detector.LossInputs`.
  """
  grid = jnp.asarray(anchors.grid(shapes, STRIDES, method.convention))
  inside = anchors.inside(grid, size, method.border)
  matched = match(
    ANCHOR_MATCHER,
    grid,
    truth.boxes,
    valid=inside & anchors.valid(shapes, STRIDES, size),
    truth_valid=truth.valid,
    convention=method.convention,
  )
  chosen = sample(key, matched, NUM_ANCHORS, POSITIVE_ANCHORS)
  coder = BoxCoder(STDS, method.convention)
  targets = coder.encode(grid[chosen.indices], truth.boxes[chosen.matched])
  labels = chosen.positive.astype(jnp.int32)
  return chosen.indices, _targets(chosen, labels, jnp.zeros_like(labels), targets)


def sample_proposals(
  key: jax.Array,
  proposals: Proposals,
  truth: TrueObjects,
  *,
  stage: BoxStage,
  method: DetectionMethod,
  background: int,
) -> tuple[Proposals, jax.Array, jax.Array, dict[str, jax.Array]]:
  """The proposals that a stage learns from; those with an object come first.

  Args:
    key: of the random choice.
    proposals: of the proposal head, or as the stage before refined them.
    truth: the objects, which are candidates themselves.
    stage: whose overlap counts.
    method: of the detector.
    background: the label of proposals without an object.

  Returns:
    The proposals `(S, 4)`, the object of each, whether it is an object's own box, and fields of
    `detector.LossInputs`.
  """
  matcher = Matcher(
    positive=stage.iou,
    negative=stage.iou,
    min_positive=stage.iou,
    low_quality=method.low_quality,
  )
  matched = match(
    matcher,
    proposals.boxes,
    truth.boxes,
    valid=proposals.valid,
    truth_valid=truth.valid,
    convention=method.convention,
  )
  boxes, matched = prepend_truths(proposals.boxes, matched, truth.boxes, truth.valid)
  chosen = sample(key, matched, method.roi_batch_size, POSITIVE_PROPOSALS)
  boxes = jnp.where(chosen.valid[:, None], boxes[chosen.indices], 0)
  own = chosen.positive & (chosen.indices < truth.valid.shape[0])
  objects = jnp.where(chosen.positive, truth.classes[chosen.matched], 0)
  labels = jnp.where(chosen.positive, objects, background)
  coder = BoxCoder(stage.stds, method.convention)
  targets = coder.encode(boxes, truth.boxes[chosen.matched])
  return (
    Proposals(boxes, chosen.valid),
    chosen.matched,
    own,
    _targets(chosen, labels, objects, targets),
  )


def mask_targets(
  truth: TrueObjects, boxes: jax.Array, matched: jax.Array, *, size: int, convention: Convention
) -> jax.Array:
  """Targets of the mask head in boxes `(R, 4)`: `(R, size, size)` 0 or 1."""
  return masks.mask_targets(truth.masks, truth.boxes, boxes, matched, size, convention=convention)


def _targets(
  chosen: Sample, labels: jax.Array, objects: jax.Array, targets: jax.Array
) -> dict[str, Any]:
  positive = chosen.positive
  return {
    "labels": labels,
    "objects": objects,
    "targets": jnp.where(positive[:, None], targets, 0),
    "positive": positive,
    "valid": chosen.valid,
  }
