"""Landmarks of faces and the like: `images (B, S, S, 3)` -> positions `(B, L, 2)` in the image."""

from collections.abc import Mapping
import dataclasses
import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from hrnet_jax.data.dataset import Dataset, DatasetInfo
from hrnet_jax.errors import UserError, check_known
from hrnet_jax.models.network import build_model
from hrnet_jax.ops import heatmaps, mirror, targets
from hrnet_jax.ops.normalize import IMAGENET, Normalize
from hrnet_jax.tasks.interface import COMPARISON_NAMES, Batch, Sums, normalize_of
from hrnet_jax.tasks.landmarks import metrics
from hrnet_jax.tasks.landmarks.loss import mean_squared_error
from hrnet_jax.tasks.landmarks.pictures import landmarks_panel
from hrnet_jax.tasks.landmarks.scores import Scoreboard, Split, in_words
from hrnet_jax.visualize import contact_sheet

STRIDE = 4  # pixels of the crop for each cell of the network's heat maps, along a side
TARGETS = {"gaussian": targets.gaussian_targets, "rounded": targets.rounded_targets}
PLACE = ("image", "window", "whole_pixels")  # what says where a crop lies in its image


@dataclasses.dataclass(frozen=True, kw_only=True)
class Decoding:
  """How positions are read from heat maps; the fields are keys of `config.eval.decoding`.

  Attributes:
    refine: a key of `heatmaps.REFINEMENTS`: how the position is found between cells.
    flip: whether the heat maps are averaged with those of the mirrored crop.
  """

  refine: str = "quarter"
  flip: bool = False

  def __post_init__(self):
    check_known(self.refine, sorted(heatmaps.REFINEMENTS), "eval.decoding.refine")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scoring:
  """How errors are counted; the fields are keys of `config.eval.scoring`.

  Attributes:
    normalizer: what distances are divided by in the main figures; empty for the one with which
      results on the data set are published.
    threshold: errors above it are failures; also the end of the area under the curve.
  """

  normalizer: str = ""
  threshold: float = 0.1

  def __post_init__(self):
    if not self.threshold > 0:
      raise UserError(f"eval.scoring.threshold is {self.threshold}, expected more than 0")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Landmarks:
  """A heat map for each landmark.

  Batch: `image (B, S, S, C) uint8` and `heatmap_points (B, L, 2)`; in evaluation also what
  `LandmarksEvalTransform` adds, `index (B,)` and `mask (B,)`. Model output: heat maps
  `(B, h, w, L)` at stride 4. A data set with missing landmarks has `annotated (B, L)` in every
  batch, and only then do the programs look at it.

  Attributes:
    model: the network.
    num_landmarks: L.
    sigma: standard deviation of the targets in cells.
    targets: a key of `TARGETS`: `rounded` as the reference's, for whole cells; `gaussian` around
      positions between cells.
    flip_pairs: landmarks that change places in the mirrored image.
    groups: distances between groups of landmarks that errors may be divided by.
    normalizers: what errors are divided by; the first is that of the main figures.
    decoding: see `Decoding`.
    threshold: see `Scoring`.
    split: what is evaluated.
    normalize: makes the network's input of bytes.
  """

  model: nn.Module
  num_landmarks: int
  sigma: float
  targets: str
  flip_pairs: tuple[tuple[int, int], ...] = ()
  groups: metrics.Groups = dataclasses.field(default_factory=dict)
  normalizers: tuple[str, ...] = ("box_size",)
  decoding: Decoding = Decoding()
  threshold: float = 0.1
  split: Split = dataclasses.field(default_factory=Split)
  normalize: Normalize = IMAGENET
  metric: str = "negative_nme"

  def __post_init__(self):
    check_known(self.targets, TARGETS, "loss.targets")
    if not self.sigma > 0:
      raise UserError(f"loss.sigma is {self.sigma}, expected more than 0")
    if self.normalizers[0] not in (known := {*metrics.BOXES, *self.groups}):
      raise UserError(
        f"unknown eval.scoring.normalizer {self.normalizers[0]!r} for this data set; known: "
        f"{', '.join(sorted(known))}"
      )
    mirror.partners(self.flip_pairs, self.num_landmarks)

  def inputs(self, batch: Batch) -> dict[str, Any]:
    """None."""
    del batch
    return {}

  def outputs(self, variables: Any, images: jax.Array, **inputs: Any) -> jax.Array:
    """Heat maps of normalised images, averaged with those of the mirrored ones if asked for."""
    del inputs
    maps = self.model.apply(variables, images, train=False)
    if not self.decoding.flip:
      return maps
    mirrored = self.model.apply(variables, images[:, :, ::-1], train=False)
    return (maps + mirror.flip_back(mirrored, self.flip_pairs)) / 2

  def loss(self, outputs: jax.Array, batch: Batch) -> tuple[jax.Array, dict[str, jax.Array]]:
    """Mean squared error of the heat maps."""
    maps = self._targets(outputs, batch)
    return mean_squared_error(outputs, maps, annotated=batch.get("annotated")), {}

  def weight(self, batch: Batch) -> jax.Array:
    """The number of examples."""
    return jnp.asarray(batch["image"].shape[0], jnp.result_type(float))

  def metric_sums(self, outputs: jax.Array, batch: Batch) -> Sums:
    """Errors of every example at its position `(N,)`, for each normaliser, and the loss.

    With missing landmarks also `left_out`, for each normaliser which examples have no error by it.
    """
    mask = batch["mask"]
    place = functools.partial(
      metrics.by_position, index=batch["index"], mask=mask, num_examples=self.split.num_examples
    )
    annotated = batch.get("annotated")
    loss = mean_squared_error(outputs, self._targets(outputs, batch), mask, annotated)
    errors = self._errors(outputs, batch, self.normalizers)
    sums: Sums = {"seen": place(jnp.ones(mask.shape, jnp.int32)), "loss": loss * mask.sum()}
    if annotated is not None:
      # By its size: the error of a network whose output is no number is NaN as well.
      without = {name: jnp.isnan(self._size(name, batch)) for name in errors}
      sums["left_out"] = {name: place(x.astype(jnp.int32)) for name, x in without.items()}
      errors = {name: jnp.where(without[name], 0, values) for name, values in errors.items()}
    return sums | {"errors": {name: place(values) for name, values in errors.items()}}

  def per_example_score(self, outputs: jax.Array, batch: Batch) -> jax.Array:
    """Minus the error by the first normaliser, `(B,)`; NaN without its landmarks."""
    (errors,) = self._errors(outputs, batch, self.normalizers[:1]).values()
    return -errors

  def predict(self, outputs: jax.Array, size: tuple[int, int]) -> jax.Array:
    """Positions in the crop, `(B, L, 2)` x and y in pixels; the middle of the first is 0.

    A landmark that was not found is left and above of the crop.
    """
    cells = heatmaps.decode(outputs, self.decoding.refine, sigma=self.sigma)
    height, width = size
    ratios = jnp.array([width / outputs.shape[2], height / outputs.shape[1]], cells.dtype)
    return (cells + 0.5) * ratios - 0.5

  def to_image(self, points: Any, batch: Mapping[str, Any]) -> jax.Array:
    """Positions in crops to positions in the images that they were cut from.

    With the reference's crop and refinement they are rounded as there.

    Args:
      points: `(B, L, 2)` from `predict`.
      batch: what of `PLACE` there is; see `LandmarksEvalTransform`.
    """
    size = batch["image"].shape[1]
    cells = (points + 0.5) / STRIDE - 0.5
    if self.decoding.refine == "quarter" and "whole_pixels" in batch:
      return heatmaps.to_whole_pixels(cells, batch["whole_pixels"])
    return heatmaps.to_image(cells, batch["window"], size // STRIDE)

  def collector(self) -> None:
    """None; the sums say it all."""

  def report(self, sums: Mapping[str, Any]) -> dict[str, Any]:
    """See `Scoreboard.report`."""
    return self._board.report(sums)

  def table(self, report: Mapping[str, Any]) -> str:
    """See `Scoreboard.table`."""
    return self._board.table(report)

  def charts(self, sums: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """The curve of cumulative errors."""
    return {"cumulative_error": self._board.chart(sums)}

  def picture(
    self, image: np.ndarray, prediction: np.ndarray, example: Mapping[str, np.ndarray]
  ) -> np.ndarray:
    """FaceRecord, predicted landmarks, and both kinds with their distances."""
    left, top, side = example["window"]
    truth = (example["points"] - [left, top]) * (image.shape[0] / side) - 0.5
    batch = {key: np.asarray(value)[None] for key, value in example.items()}
    name = self.normalizers[0]
    (error,) = self._measure(prediction[None], batch, (name,))[name]
    title = f"{example['name']}: " if "name" in example else ""
    title += (
      f"mean error {100 * float(error):.2f} % of {in_words(name)}"
      if np.isfinite(self._size(name, batch)).all()
      else f"lacks landmarks of {in_words(name)}, so not scored"
    )
    return landmarks_panel(image, prediction, truth, title)

  def comparison(
    self,
    image: np.ndarray,
    first: np.ndarray,
    second: np.ndarray,
    example: Mapping[str, np.ndarray],
  ) -> np.ndarray:
    """The pictures of both, one below the other."""
    pictures = [self.picture(image, prediction, example) for prediction in (first, second)]
    return contact_sheet(pictures, titles=COMPARISON_NAMES, columns=1)

  @property
  def _board(self) -> Scoreboard:
    return Scoreboard(split=self.split, normalizers=self.normalizers, threshold=self.threshold)

  def _targets(self, outputs: jax.Array, batch: Batch) -> jax.Array:
    return TARGETS[self.targets](batch["heatmap_points"], outputs.shape[1:3], self.sigma)

  def _errors(self, outputs: jax.Array, batch: Batch, names: tuple[str, ...]) -> dict[str, Any]:
    return self._measure(self.predict(outputs, batch["image"].shape[1:3]), batch, names)

  def _measure(
    self, points: Any, batch: Mapping[str, Any], names: tuple[str, ...]
  ) -> dict[str, Any]:
    """Errors `(B,)` of predictions by each of the normalisers."""
    found, truth, annotated = self.to_image(points, batch), batch["points"], batch.get("annotated")
    return {
      name: metrics.image_errors(found, truth, self._size(name, batch), annotated) for name in names
    }

  def _size(self, name: str, batch: Mapping[str, Any]) -> jax.Array:
    """Sizes `(B,)` of the faces by a normaliser."""
    return metrics.normalizing_distance(
      name, batch["points"], batch["box_size"], self.groups, batch.get("annotated")
    )


def build(config: Any, dataset: DatasetInfo) -> Landmarks:
  """Builds the task from a config and the facts of its data set.

  Raises:
    ValueError: a value does not fit the data set or another value.
    TypeError: an unknown key of `loss`, `eval.decoding` or `eval.scoring`.
  """
  count, names = config.model.num_landmarks, dataset.landmark_names
  if len(names) != count:
    raise UserError(
      f"model.num_landmarks is {count}, but the data set has {len(names)} landmarks; set "
      "model.num_landmarks to that"
    )
  _check_transforms(config)
  scoring = Scoring(**config.eval.get("scoring", {}))
  groups = dict(dataset.normalizers)
  decoding = Decoding(**config.eval.get("decoding", {}))
  return Landmarks(
    model=build_model(**config.model),
    normalize=normalize_of(config),
    num_landmarks=count,
    flip_pairs=_pairs(config.transform.train, dataset, needed=decoding.flip),
    groups=groups,
    normalizers=_normalizers(scoring.normalizer, groups, count),
    decoding=decoding,
    threshold=scoring.threshold,
    split=_split(config.data.eval_split, dataset),
    **config.loss,
  )


def _check_transforms(config: Any) -> None:
  for name, options in config.transform.items():
    if options.get("stride", STRIDE) != STRIDE:
      raise UserError(
        f"transform.{name}.stride is {options.stride}, but the network's heat maps have a cell for "
        f"every {STRIDE} pixels; leave it out"
      )
  if config.loss.targets == "rounded" and config.transform.train.crop != "reference":
    raise UserError(
      "loss.targets 'rounded' are drawn at whole cells, which only transform.train.crop "
      "'reference' gives; set loss.targets to 'gaussian'"
    )


def _pairs(options: Any, dataset: DatasetInfo, *, needed: bool) -> tuple[tuple[int, int], ...]:
  pairs = options.get("flip_pairs")
  if needed and pairs is None and not dataset.flip_pairs:
    raise UserError(
      "eval.decoding.flip averages with the mirrored crop, but the data set has no flip pairs; set "
      "it to False, or give transform.train.flip_pairs"
    )
  return mirror.checked_pairs(
    dataset.flip_pairs if pairs is None else pairs, "transform.train.flip_pairs", "landmark"
  )


def _normalizers(first: str, groups: metrics.Groups, count: int) -> tuple[str, ...]:
  """The first, then the data set's own in their order, then boxes; each once."""
  boxes = ("box_size", "box_diagonal") if count > 1 else ("box_size",)
  return tuple(dict.fromkeys([*([first] if first else []), *groups, *boxes]))


def _split(name: str, dataset: DatasetInfo) -> Split:
  """The split and its parts; those of a union are its splits and their parts."""
  # What a checkpoint knows about its data has no records; predictions need none.
  if not isinstance(dataset, Dataset):
    return Split(name)
  parts, start = {}, 0
  for of in dataset.unions.get(name, (name,)):
    count = len(dataset.source(of))
    inside = ({} if of == name else {of: range(count)}) | dataset.subsets_of(of)
    parts |= {part: tuple(start + i for i in positions) for part, positions in inside.items()}
    start += count
  return Split(name, start, parts)
