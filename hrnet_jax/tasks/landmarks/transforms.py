"""Photo with landmarks to a crop of the face: `(H, W, C), (L, 2) -> (S, S, C), (L, 2)`.

The fields of the transforms are the keys of a config's `transform` block. Normalisation is not done
here, see `ops/normalize.py`; nor are heat maps drawn: the device draws them from
`heatmap_points` (`ops/targets.py`), which are a thousandth of the bytes. A position in a heat map
is whole in the middle of a cell.

Where landmarks of some faces of a data set are missing, all its records have `annotated (L,)`, and
so have the examples; a missing landmark's `points` are NaN, its `heatmap_points` are `MISSING`.

`crop="reference"` is the pipeline of HRNet/HRNet-Facial-Landmark-Detection (lib/datasets/*.py) with
all its roundings, for its published numbers and weights. `crop="affine"` is free of them: pixels
and points go through the same map, and a mirrored example is the exact mirror image.
"""

from collections.abc import Callable, Mapping
import dataclasses
from typing import Any

from grain import transforms
import numpy as np

from hrnet_jax.errors import UserError, check_known
from hrnet_jax.ops import mirror
from hrnet_jax.ops.mirror import Pairs
from hrnet_jax.tasks.landmarks import geometry
from hrnet_jax.tasks.landmarks.crop import crop_affine, crop_reference

MISSING = -1000.0  # so far from the heat map that nothing is drawn into it


@dataclasses.dataclass(frozen=True)
class LandmarksDecisions:
  """Everything that is random about one training example.

  Attributes:
    scale: factor on the side of the window.
    rotation: degrees, counter-clockwise, after the flip.
    flip: whether the example is mirrored.
  """

  scale: float = 1.0
  rotation: float = 0.0
  flip: bool = False


@dataclasses.dataclass(frozen=True)
class FaceRecord:
  """The annotation of a face in a record.

  Attributes:
    image: uint8 (H, W, C).
    points: `(L, 2)` x and y in the coordinates of the annotation, NaN where one is missing.
    center: `(2,)` middle of the face.
    scale: side of the face in pixels / 200, without margin.
    annotated: `(L,)` bool, which landmarks are there; None for a data set where all are.
  """

  image: np.ndarray
  points: np.ndarray
  center: np.ndarray
  scale: float
  annotated: np.ndarray | None = None


@dataclasses.dataclass(frozen=True)
class Cropping:
  """Common options of training and evaluation.

  Attributes:
    crop: a key of `CROPS`: how pixels and points get into the crop.
    crop_size: side of the crop in pixels.
    stride: pixels of the crop for each cell of a heat map, along a side.
    margin: side of the window as a multiple of the face's.
    first_pixel: coordinate by which the annotation calls the middle of the first pixel, 1 if it
      counts pixels from one. Only for "affine"; the reference takes coordinates as they are.
    stretch_shrunk: see `crop_reference`; False for COFW. Without effect on "affine".
  """

  crop: str
  crop_size: int = 256
  stride: int = 4
  margin: float = 1.25
  first_pixel: float = 0.0
  stretch_shrunk: bool = True

  def __post_init__(self):
    check_known(self.crop, sorted(CROPS), "transform.crop")
    if self.crop == "reference" and self.first_pixel:
      raise UserError(
        f"transform.first_pixel is {self.first_pixel}, but crop 'reference' takes coordinates as"
        " they are; leave it out or set crop to 'affine'"
      )
    if self.stride < 1 or self.crop_size < self.stride or self.crop_size % self.stride:
      raise UserError(
        f"transform.crop_size is {self.crop_size}, expected a multiple of stride {self.stride}"
      )
    if self.margin <= 0:
      raise UserError(f"transform.margin is {self.margin}, expected more than 0")

  @property
  def heatmap_size(self) -> int:
    """Side of a heat map in cells."""
    return self.crop_size // self.stride

  def _crop(
    self, face: FaceRecord, decisions: LandmarksDecisions, pairs: Pairs = ()
  ) -> dict[str, np.ndarray]:
    annotated, known = face.annotated, face
    if annotated is not None:
      # Any place does while the others move; NaN has no whole cell.
      placed = np.where(annotated[:, None], face.points, face.center)
      known = dataclasses.replace(face, points=placed)
    image, points = CROPS[self.crop](self, known, decisions, pairs)
    # A copy: a view would keep the whole image alive in the prefetch buffer.
    example = {"image": np.array(image, order="C")}
    if annotated is not None:
      if decisions.flip:
        annotated = annotated[mirror.partners(pairs, len(annotated))]
      points = np.where(annotated[:, None], points, MISSING)
      example["annotated"] = annotated
    return example | {"heatmap_points": points.astype(np.float32)}


@dataclasses.dataclass(frozen=True)
class LandmarksTrainTransform(Cropping, transforms.RandomMap):
  """Random scale, rotation and flip: record `-> {"image": (S, S, C), "heatmap_points": (L, 2)}`.

  Attributes:
    scale_factor: the window's side is multiplied by a number from `1 - scale_factor` to
      `1 + scale_factor`.
    rotation: largest angle in degrees.
    rotation_probability: share of the examples that are rotated.
    flip: whether half of the examples are mirrored.
    flip_pairs: indices of left landmarks and their right partners, which change places then.
  """

  scale_factor: float = 0.25
  rotation: float = 30.0
  rotation_probability: float = 0.6
  flip: bool = True
  flip_pairs: Pairs | None = ()

  def __post_init__(self):
    super().__post_init__()
    pairs = mirror.checked_pairs(self.flip_pairs or (), "transform.flip_pairs", "landmark")
    object.__setattr__(self, "flip_pairs", pairs)
    if not 0 <= self.scale_factor < 1:
      raise UserError(f"transform.scale_factor is {self.scale_factor}, expected 0 .. below 1")
    if not 0 <= self.rotation_probability <= 1:
      raise UserError(
        f"transform.rotation_probability is {self.rotation_probability}, expected 0 .. 1"
      )

  def random_map(self, record: Mapping, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Reads a record, draws the decisions from `rng` and applies them."""
    return self.apply(read(record), self.draw(rng))

  def draw(self, rng: np.random.Generator) -> LandmarksDecisions:
    """Draws scale, whether to rotate, the angle if so, and the flip, in this order."""
    scale = float(rng.uniform(1 - self.scale_factor, 1 + self.scale_factor))
    rotation = 0.0
    if rng.uniform() < self.rotation_probability:
      rotation = float(rng.uniform(-self.rotation, self.rotation))
    return LandmarksDecisions(scale, rotation, self.flip and bool(rng.integers(2)))

  def apply(self, face: FaceRecord, decisions: LandmarksDecisions) -> dict[str, np.ndarray]:
    """Carries out `decisions` on a face."""
    return self._crop(face, decisions, self.flip_pairs)


@dataclasses.dataclass(frozen=True)
class LandmarksEvalTransform(Cropping, transforms.Map):
  """Nothing random. The result also has all that maps predictions back and measures them.

  Result, float32 but for the image:
    image: uint8 (S, S, C).
    heatmap_points: `(L, 2)` true positions in the heat map.
    points: `(L, 2)` true positions in the image, as annotated; NaN for those that are not.
    window: `(3,)` left, top and side of the crop's window in the image.
    box_size: `()` side of the face in pixels: the record's `box_size`, or `200 * scale`.
    whole_pixels: `(2, 4 * S / stride + 5)`, for "reference" only; see
      `landmark_geometry.whole_pixels`.
  """

  def map(self, record: Mapping) -> dict[str, np.ndarray]:
    """Reads and crops a record."""
    return self.apply(read(record), record.get("box_size"))

  def apply(self, face: FaceRecord, box_size: float | None = None) -> dict[str, np.ndarray]:
    """Crops a face; `box_size` is the annotation's own, where it has one."""
    scale = face.scale * self.margin
    side = geometry.PIXELS_PER_SCALE * face.scale if box_size is None else box_size
    example = self._crop(face, LandmarksDecisions()) | {
      "points": face.points.astype(np.float32),
      "window": geometry.window(face.center, scale).astype(np.float32),
      "box_size": np.float32(side),
    }
    if self.crop == "reference":
      center = np.asarray(face.center, np.float32)
      example["whole_pixels"] = geometry.whole_pixels(center, scale, self.heatmap_size)
    return example


def apply_affine(
  options: Cropping, face: FaceRecord, decisions: LandmarksDecisions, pairs: Pairs
) -> tuple[np.ndarray, np.ndarray]:
  """One warp: `-> uint8 (S, S, C), (L, 2)` positions in the heat map, with all their digits.

  A mirrored face is cropped as it is and the crop is mirrored, so that nothing is rounded
  differently in the two. Rotated after the flip is rotated the other way before it.
  """
  scale = face.scale * options.margin * decisions.scale
  rotation = -decisions.rotation if decisions.flip else decisions.rotation
  image = crop_affine(
    face.image,
    face.center,
    scale,
    options.crop_size,
    rotation=rotation,
    first_pixel=options.first_pixel,
  )
  matrix = geometry.crop_matrix(face.center, scale, options.heatmap_size, rotation)
  points = geometry.transform(matrix, face.points) - 0.5
  if decisions.flip:
    image = image[:, ::-1]
    points = geometry.mirror(points, options.heatmap_size - 1, pairs)
  return image, points


def apply_reference(
  options: Cropping, face: FaceRecord, decisions: LandmarksDecisions, pairs: Pairs
) -> tuple[np.ndarray, np.ndarray]:
  """As the reference: `-> uint8 (S, S, C), (L, 2)` whole cells of the heat map.

  Points with `y <= 0` are taken for missing, as there, and are put at `MISSING`.
  """
  image, points = face.image, np.asarray(face.points, np.float64)
  center = np.asarray(face.center, np.float32)
  if decisions.flip:
    # The width, not the width - 1: window and crop are exact mirror images, but a point in the
    # middle of a pixel gets to one side of it here, and to the other in a mirrored example.
    width = image.shape[1]
    image = image[:, ::-1]
    points = geometry.mirror(points, width, pairs)
    center = np.array([width - center[0], center[1]], np.float32)
  scale = face.scale * options.margin * decisions.scale
  crop = crop_reference(
    image,
    center,
    scale,
    options.crop_size,
    rotation=decisions.rotation,
    stretch_shrunk=options.stretch_shrunk,
  )
  matrix = geometry.crop_matrix(center, scale, options.heatmap_size, decisions.rotation)
  cells = geometry.transform_to_whole(matrix, points)
  return crop, np.where(points[:, 1:] > 0, cells, MISSING)


CROPS: dict[str, Callable[..., tuple[np.ndarray, np.ndarray]]] = {
  "affine": apply_affine,
  "reference": apply_reference,
}


def read(record: Mapping[str, Any]) -> FaceRecord:
  """Image and annotation of a record.

  Raises:
    ValueError: the record has no landmarks, or a number is not finite although its landmark is
      not said to be missing; names the record.
  """
  name = record["name"]
  if missing := [key for key in ("points", "center", "scale") if key not in record]:
    raise UserError(
      f"{name}: the record has no {', '.join(missing)}; set data.name to a data set with landmarks,"
      " such as landmarks_csv"
    )
  points, center = (np.asarray(record[key], np.float64) for key in ("points", "center"))
  scale, annotated, known = float(record["scale"]), record.get("annotated"), points
  if annotated is not None:
    annotated = np.asarray(annotated, bool)
    if not annotated.any():
      raise UserError(f"{name}: no landmark is annotated; leave the record out")
    # Whatever stands there means nothing, and must not get anywhere.
    known, points = points[annotated], np.where(annotated[:, None], points, np.nan)
  if not (np.isfinite(known).all() and np.isfinite(center).all() and 0 < scale < np.inf):
    raise UserError(
      f"{name}: center {center.tolist()}, scale {scale} and the points must be finite numbers, and"
      " scale more than 0"
    )
  return FaceRecord(record["image"], points, center, scale, annotated)
