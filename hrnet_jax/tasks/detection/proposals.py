"""Proposals: outputs of the proposal head for all anchors -> a fixed number of boxes per image."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp

from hrnet_jax.ops.boxes import BoxCoder, Convention, clip, sizes
from hrnet_jax.ops.nms import nms

NMS_IOU = 0.7
STDS = (1.0, 1.0, 1.0, 1.0)


def propose(
  logits: Sequence[jax.Array],
  deltas: Sequence[jax.Array],
  anchors: Sequence[jax.Array],
  size: jax.Array,
  *,
  candidates: int,
  count: int,
  convention: Convention,
) -> tuple[jax.Array, jax.Array]:
  """The best boxes of one image, without gradient; mmdet's `rpn_head.py`.

  Of each level the best candidates by score are decoded and cut to the image; those that overlap
  within their level are removed, and the best of all levels are returned.

  Args:
    logits: of each level `(N_l,)`.
    deltas: of each level `(N_l, 4)`.
    anchors: of each level `(N_l, 4)`.
    size: `(2,)` height and width of the image without padding.
    candidates: of each level.
    count: R, of all levels.
    convention: of the boxes.

  Returns:
    Boxes `(R, 4)` from the best down, and which of them are valid, `(R,)`; there may be fewer.
  """
  coder = BoxCoder(STDS, convention)
  boxes, scores, levels = [], [], []
  for level, (logit, delta, anchor) in enumerate(zip(logits, deltas, anchors, strict=True)):
    logit, delta = jax.lax.stop_gradient((logit, delta))
    best, index = jax.lax.top_k(logit, min(candidates, logit.shape[0]))
    boxes.append(clip(coder.decode(jnp.asarray(anchor)[index], delta[index]), size, convention))
    scores.append(best)
    levels.append(jnp.full(best.shape, level, jnp.int32))
  boxes, scores, levels = (jnp.concatenate(x) for x in (boxes, scores, levels))
  valid = (sizes(boxes, convention) > 0).all(-1)
  keep = nms(boxes, scores, NMS_IOU, convention=convention, valid=valid, groups=levels)
  ranked = jnp.where(keep, scores, -jnp.inf)
  short = max(count - ranked.shape[0], 0)
  boxes = jnp.pad(boxes, ((0, short), (0, 0)))
  ranked = jnp.pad(ranked, (0, short), constant_values=-jnp.inf)
  best, index = jax.lax.top_k(ranked, count)
  valid = best > -jnp.inf
  return jnp.where(valid[:, None], boxes[index], 0), valid
