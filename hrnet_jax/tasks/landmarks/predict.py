"""Photos to landmarks: `(H, W, C)` uint8 -> a crop `(S, S, C)` for each box -> `(L, 2)` each."""

from collections.abc import Collection, Mapping, Sequence
import dataclasses
import pathlib

import jax
import numpy as np

from hrnet_jax import visualize
from hrnet_jax.checkpoint import networks
from hrnet_jax.data import images
from hrnet_jax.errors import OptionError, UserError
from hrnet_jax.predict.boxes import Box, read_boxes
from hrnet_jax.predict.predictor import Photo
from hrnet_jax.predict.tables import Tables
from hrnet_jax.tasks.interface import Task
from hrnet_jax.tasks.landmarks import geometry
from hrnet_jax.tasks.landmarks.pictures import draw_points, face_box
from hrnet_jax.tasks.landmarks.transforms import FaceRecord, LandmarksEvalTransform

TABLE, CONFIDENCES = "predictions.csv", "confidences.csv"
NO_POINTS = np.zeros((0, 2))


@dataclasses.dataclass(frozen=True, kw_only=True)
class CroppedPhoto(Photo):
  """A photo with a crop for each face.

  Attributes:
    boxes: of the faces; empty where the whole photo is one.
    windows: `(N, 3)` left, top and side of each crop in the photo.
  """

  boxes: Sequence[Box]
  windows: np.ndarray


class LandmarksPredictor:
  """Writes `<stem>_points.png` for people, and a line for each face to `predictions.csv`.

  The columns of the table are those of the data set `landmarks_csv`, so that corrected predictions
  can be learned from. If probabilities are asked for, `confidences.csv` has a line for each face
  with the highest value of each heat map, about 1 where the network is sure and 0 where it is not.
  """

  def __init__(
    self,
    num_landmarks: int,
    transform: LandmarksEvalTransform,
    boxes: Mapping[str, Sequence[Box]] | None,
    channels: int = 3,
    *,
    probabilities: bool = False,
  ):
    """`boxes` by the names of photos; without them a photo is one face."""
    self._num_landmarks, self._transform, self._boxes = num_landmarks, transform, boxes
    self._channels, self._probabilities = channels, probabilities
    self._tables = Tables()

  def decode(self, task: Task, outputs: jax.Array, size: tuple[int, int]) -> dict[str, jax.Array]:
    """Positions `points (B, L, 2)`, and the highest values of the heat maps, `peaks (B, L)`."""
    return {"points": task.predict(outputs, size), "peaks": outputs.max((1, 2))}

  def describe(self, names: Collection[str]) -> str:
    """Counts the names in the file of boxes that are those of no photo."""
    unused = sorted((self._boxes or {}).keys() - set(names))
    if not unused:
      return ""
    return (
      f"--boxes: boxes of {len(unused)} names are left out, such as {unused[0]}: no photo is "
      "called so; names are those of files, without folders"
    )

  def load(self, path: pathlib.Path, max_side: int) -> CroppedPhoto:
    """Cuts out every face as in evaluation.

    Raises:
      ValueError: the photo is damaged, or has no box although there are boxes.
    """
    del max_side
    if self._boxes is not None and path.name not in self._boxes:
      raise UserError(f"{path}: the file of boxes has none for {path.name}")
    pixels = images.read_image(path, self._channels)
    boxes = () if self._boxes is None else tuple(self._boxes[path.name])
    placed = [_around(box) for box in boxes] or [self._whole(pixels)]
    first = self._transform.first_pixel
    crops, windows = [], []
    for center, scale in placed:
      crop = self._transform.apply(FaceRecord(pixels, NO_POINTS, center + first, scale))
      crops.append(crop["image"])
      windows.append(geometry.window(center, scale * self._transform.margin))
    return CroppedPhoto(
      path, visualize.as_rgb(pixels), crops, boxes=boxes, windows=np.array(windows)
    )

  def save(
    self, photo: CroppedPhoto, predictions: Sequence[Mapping[str, np.ndarray]], stem: pathlib.Path
  ) -> None:
    """Draws all faces into one picture; a prediction is `decode`'s, in pixels of its crop."""
    picture, rows = photo.pixels, []
    for number, (window, prediction) in enumerate(zip(photo.windows, predictions, strict=True)):
      # Pixels of the crop to those of the photo: the border of the crop is that of the window.
      share = (np.asarray(prediction["points"], np.float64) + 0.5) / self._transform.crop_size
      points = window[:2] + share * window[2]
      box = photo.boxes[number] if photo.boxes else _square(window)
      if photo.boxes:
        picture = face_box(picture, box, label=str(number + 1) if len(photo.boxes) > 1 else "")
      picture = draw_points(picture, points)
      rows.append([photo.path.name, *(f"{x:.3f}" for x in (*box, *points.ravel()))])
    visualize.write_png(f"{stem}_points.png", picture)
    axes = [f"{axis}{i}" for i in range(self._num_landmarks) for axis in "xy"]
    header = ["image_name", "x_min", "y_min", "x_max", "y_max", *axes]
    self._tables.append(stem.parent / TABLE, header, rows)
    if self._probabilities:
      peaks = [[photo.path.name, *(f"{x:.6f}" for x in face["peaks"])] for face in predictions]
      header = ["image_name", *(f"confidence{i}" for i in range(self._num_landmarks))]
      self._tables.append(stem.parent / CONFIDENCES, header, peaks)

  def _whole(self, pixels: np.ndarray) -> tuple[np.ndarray, float]:
    """Center and scale with which the crop shows the whole photo."""
    height, width = pixels.shape[:2]
    side = geometry.PIXELS_PER_SCALE * self._transform.margin
    return np.array([width - 1, height - 1]) / 2, max(height, width) / side


def build(
  loaded: networks.Loaded, boxes: str | None = None, *, probabilities: bool = False
) -> LandmarksPredictor:
  """Takes the transform of evaluation from a checkpoint, and boxes from a file; see `boxes.py`.

  Raises:
    FileNotFoundError, ValueError: the file of boxes is missing or wrong.
  """
  try:
    known = None if boxes is None else read_boxes(boxes)
  except UserError as error:  # the checkpoint is not to blame
    raise OptionError(str(error)) from None
  transform = LandmarksEvalTransform(**loaded.config.transform.eval)
  return LandmarksPredictor(
    loaded.config.model.num_landmarks,
    transform,
    known,
    loaded.config.model.get("channels", 3),
    probabilities=probabilities,
  )


def _around(box: Box) -> tuple[np.ndarray, float]:
  """Center and scale of a face, as those of data sets are made from the landmarks' box."""
  x0, y0, x1, y1 = box
  center = np.array([x0 + x1, y0 + y1]) / 2
  return center, max(x1 - x0, y1 - y0) / geometry.PIXELS_PER_SCALE


def _square(window: np.ndarray) -> Box:
  left, top, side = window.tolist()
  return left, top, left + side, top + side
