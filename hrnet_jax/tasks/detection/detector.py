"""A two-stage detector on HRNetV2p: images `(B, H, W, C)` -> detections, or inputs of a loss."""

from collections.abc import Sequence
import functools
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from hrnet_jax.models.backbone import HRNet
from hrnet_jax.ops import anchors
from hrnet_jax.ops.boxes import BoxCoder, clip
from hrnet_jax.ops.roi_align import roi_align
from hrnet_jax.tasks.detection import sampling
from hrnet_jax.tasks.detection.heads import Heads, select_class
from hrnet_jax.tasks.detection.methods import DetectionMethod
from hrnet_jax.tasks.detection.postprocess import PaddedDetections, detect
from hrnet_jax.tasks.detection.proposals import propose
from hrnet_jax.tasks.detection.sampling import Proposals, TrueObjects

BOX_BINS, MASK_BINS = 7, 14
Levels = Sequence[jax.Array]


class LossInputs(NamedTuple):
  """Predictions of one head at sampled candidates `(B, S)`, and their targets.

  Attributes:
    logits: `(B, S)` of the proposal head, `(B, S, K + 1)` of a box head.
    deltas: `(B, S, 4)` of the proposal head, `(B, S, boxes, 4)` of a box head.
    labels: `(B, S)` int32, the class or K for background; of the proposal head 1 or 0.
    objects: `(B, S)` int32, the class of the object; 0 where there is none.
    targets: `(B, S, 4)` deltas that lead to the object.
    positive: `(B, S)` bool, has an object.
    valid: `(B, S)` bool, is a candidate.
    mask_logits: `(B, P, 28, 28, K)` of the first P candidates, or None.
    mask_targets: `(B, P, 28, 28)` 0 or 1, or None.
  """

  logits: jax.Array
  deltas: jax.Array
  labels: jax.Array
  objects: jax.Array
  targets: jax.Array
  positive: jax.Array
  valid: jax.Array
  mask_logits: jax.Array | None = None
  mask_targets: jax.Array | None = None


class TrainingOutputs(NamedTuple):
  """Inputs of the losses of a batch, for the proposal head and for every stage."""

  proposals: LossInputs
  stages: tuple[LossInputs, ...]


class InferenceOutputs(NamedTuple):
  """The detections of a batch, in pixels of the network's input, and their masks or None.

  Attributes:
    detections: with a leading `(B,)`.
    masks: `(B, D, 28, 28)` probabilities within the boxes.
  """

  detections: PaddedDetections
  masks: jax.Array | None


class Detector(nn.Module):
  """Proposals, then one or more stages of box heads and mask heads.

  Attributes:
    task: `detection`.
    backbone: image -> pyramid.
    representation: the neck, pyramid -> five levels.
    head: all heads.
    norm_eval: whether the norms keep their running statistics in training (their gains and biases
      learn), as in fine-tuning from ImageNet with few images on each device.
    min_score: detections at or below it do not count.
    max_detections: of an image.
  """

  task: str
  backbone: HRNet
  representation: nn.Module  # the paper's word; checkpoints name the neck's weights so
  head: Heads
  norm_eval: bool
  min_score: float = 0.05
  max_detections: int = 100

  @property
  def channels(self) -> int:
    """Channels of the images."""
    return self.backbone.channels

  @property
  def method(self) -> DetectionMethod:
    """The settings that tell one detector from another."""
    return self.head.method

  @property
  def num_classes(self) -> int:
    """K, without background."""
    return self.head.num_classes

  @nn.compact
  def __call__(
    self,
    images: jax.Array,
    *,
    train: bool,
    size: jax.Array | None = None,
    truth: TrueObjects | None = None,
  ) -> TrainingOutputs | InferenceOutputs:
    """Runs the network.

    Args:
      images: normalised, `(B, H, W, C)`; sides are multiples of 32.
      train: whether `truth` is learned; needs an rng named `sampling`.
      size: `(B, 2)` height and width of the images without padding; all of them by default.
      truth: the objects, in training.
    """
    if size is None:
      size = jnp.broadcast_to(jnp.asarray(images.shape[1:3], jnp.float32), (images.shape[0], 2))
    levels = self.pyramid(images, train=train)
    return self._train(levels, size, truth) if train else self._infer(levels, size)

  def pyramid(self, images: jax.Array, *, train: bool) -> Levels:
    """The five levels `(B, h, w, C)` that all heads read, at strides 4, 8, 16, 32 and 64."""
    maps = self.backbone(images, train=train and not self.norm_eval)
    return self.representation(maps, train=train)

  def _train(self, levels: Levels, size: jax.Array, truth: TrueObjects) -> TrainingOutputs:
    keys = jax.random.split(self.make_rng("sampling"), (size.shape[0], 1 + len(self.method.stages)))
    logits, deltas = zip(*map(self.head.propose, levels), strict=True)
    proposals = self._propose(levels, logits, deltas, size, train=True)
    sample = functools.partial(sampling.sample_anchors, shapes=_shapes(levels), method=self.method)
    at, chosen = jax.vmap(sample)(keys[:, 0], size, truth)
    take = jax.vmap(lambda x, index: x[index])
    anchor_inputs = LossInputs(
      logits=take(jnp.concatenate(logits, axis=1), at),
      deltas=take(jnp.concatenate(deltas, axis=1), at),
      **chosen,
    )
    stages = []
    for number in range(len(self.method.stages)):
      inputs, proposals = self._train_stage(
        number, keys[:, 1 + number], levels, size, truth, proposals
      )
      stages.append(inputs)
    return TrainingOutputs(anchor_inputs, tuple(stages))

  def _train_stage(
    self,
    number: int,
    keys: jax.Array,
    levels: Levels,
    size: jax.Array,
    truth: TrueObjects,
    proposals: Proposals,
  ) -> tuple[LossInputs, Proposals]:
    sample = functools.partial(
      sampling.sample_proposals,
      stage=self.method.stages[number],
      method=self.method,
      background=self.num_classes,
    )
    chosen, matched, own, targets = jax.vmap(sample)(keys, proposals, truth)
    scores, deltas = self.head.box(number, self._roi_features(levels, chosen.boxes, BOX_BINS))
    masks = {}
    if self.method.masks:
      masks = self._train_masks(number, levels, chosen.boxes, matched, truth)
    refined = self._refine(number, chosen.boxes, deltas, size)
    return LossInputs(scores, deltas, **targets, **masks), Proposals(refined, chosen.valid & ~own)

  def _train_masks(
    self, number: int, levels: Levels, boxes: jax.Array, matched: jax.Array, truth: TrueObjects
  ) -> dict[str, jax.Array]:
    # Candidates with an object come first.
    first = slice(0, sampling.max_positive(self.method))
    boxes, matched = boxes[:, first], matched[:, first]
    logits = self._masks(number, levels, boxes)
    targets = functools.partial(
      sampling.mask_targets, size=logits.shape[2], convention=self.method.convention
    )
    return {"mask_logits": logits, "mask_targets": jax.vmap(targets)(truth, boxes, matched)}

  def _infer(self, levels: Levels, size: jax.Array) -> InferenceOutputs:
    logits, deltas = zip(*map(self.head.propose, levels), strict=True)
    boxes, valid = self._propose(levels, logits, deltas, size, train=False)
    last, total = len(self.method.stages) - 1, 0
    for number in range(last + 1):
      scores, deltas = self.head.box(number, self._roi_features(levels, boxes, BOX_BINS))
      total += scores
      if number < last:
        boxes = self._refine(number, boxes, deltas, size)
    coder = self._coder(last)
    decoded = coder.decode(boxes[:, :, None], deltas)
    decoded = jax.vmap(lambda b, s: clip(b, s, coder.convention))(
      decoded.reshape(size.shape[0], -1, 4), size
    ).reshape(decoded.shape)
    detections = jax.vmap(
      functools.partial(
        detect,
        min_score=self.min_score,
        count=self.max_detections,
        convention=coder.convention,
      )
    )(nn.softmax(total / (last + 1)), decoded, valid)
    if not self.method.masks:
      return InferenceOutputs(detections, None)
    masks = [
      nn.sigmoid(select_class(jnp.moveaxis(logits, -1, 2), detections.classes))
      for logits in (self._masks(number, levels, detections.boxes) for number in range(last + 1))
    ]
    return InferenceOutputs(detections, sum(masks) / len(masks))

  def _propose(
    self,
    levels: Levels,
    logits: Sequence[jax.Array],
    deltas: Sequence[jax.Array],
    size: jax.Array,
    *,
    train: bool,
  ) -> Proposals:
    m, shapes = self.method, _shapes(levels)
    grids = [
      anchors.grid((shape,), (stride,), m.convention)
      for shape, stride in zip(shapes, sampling.STRIDES, strict=True)
    ]
    best = functools.partial(
      propose,
      anchors=grids,
      candidates=m.train_candidates if train else m.test_candidates,
      count=m.train_proposals if train else m.test_proposals,
      convention=m.convention,
    )
    return Proposals(*jax.vmap(lambda x, y, s: best(x, y, size=s))(logits, deltas, size))

  def _roi_features(self, levels: Levels, boxes: jax.Array, bins: int) -> jax.Array:
    m = self.method
    return roi_align(levels[:4], boxes, bins, convention=m.convention, method=m.roi_align)

  def _masks(self, number: int, levels: Levels, boxes: jax.Array) -> jax.Array:
    """Logits of all classes, `(B, R, 28, 28, K)`."""
    features = self._roi_features(levels, boxes, MASK_BINS)
    logits = self.head.mask(number, features.reshape(-1, *features.shape[2:]))
    return logits.reshape(*boxes.shape[:2], *logits.shape[1:])

  def _coder(self, number: int) -> BoxCoder:
    return BoxCoder(self.method.stages[number].stds, self.method.convention)

  def _refine(self, number: int, boxes: jax.Array, deltas: jax.Array, size: jax.Array) -> jax.Array:
    """The boxes of the next stage, which only heads with one box for all classes have."""
    coder = self._coder(number)
    refined = coder.decode(boxes, jax.lax.stop_gradient(deltas[:, :, 0]))
    return clip(refined, size, coder.convention)


def _shapes(levels: Levels) -> tuple[tuple[int, int], ...]:
  return tuple(x.shape[1:3] for x in levels)
