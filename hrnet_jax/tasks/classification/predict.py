"""Photos to classes: `(H, W, C)` uint8 -> resized and cut as in evaluation -> the best classes."""

from collections.abc import Mapping, Sequence
import pathlib
from typing import Any

import jax

from hrnet_jax import visualize
from hrnet_jax.checkpoint import networks
from hrnet_jax.data import images
from hrnet_jax.data.dataset import DatasetInfo
from hrnet_jax.predict.predictor import Photo
from hrnet_jax.predict.tables import Tables
from hrnet_jax.tasks.classification import pictures
from hrnet_jax.tasks.classification.transforms import ClassificationEvalTransform
from hrnet_jax.tasks.interface import Task

TABLE, PROBABILITIES = "predictions.csv", "probabilities.csv"


class ClassificationPredictor:
  """Writes `<stem>_classes.png` for people, and a line for each photo to `predictions.csv`.

  If probabilities are asked for, `probabilities.csv` has them for all classes.
  """

  def __init__(
    self,
    class_names: tuple[str, ...],
    transform: ClassificationEvalTransform,
    channels: int = 3,
    *,
    probabilities: bool = False,
  ):
    """`channels` are those that the network takes."""
    self._class_names, self._transform, self._channels = class_names, transform, channels
    self._probabilities = probabilities
    self._tables = Tables()

  def load(self, path: pathlib.Path, max_side: int) -> Photo:
    """The network sees the photo's centre, at the size at which it was evaluated."""
    del max_side
    pixels = images.read_image(path, self._channels)
    seen = self._transform.apply(pixels)
    return Photo(path, visualize.as_rgb(pixels), (seen,))

  def decode(self, task: Task, outputs: jax.Array, size: tuple[int, int]) -> dict[str, jax.Array]:
    """The best classes, and what was asked for besides: `probabilities (B, K)` of all classes."""
    more = {"probabilities": jax.nn.softmax(outputs)} if self._probabilities else {}
    return task.predict(outputs, size) | more

  def save(
    self, photo: Photo, predictions: Sequence[Mapping[str, Any]], stem: pathlib.Path
  ) -> None:
    """Draws the photo with its best classes; a prediction has `classes (k,)`, `scores (k,)`."""
    (prediction,) = predictions
    names = [self._class_names[i] for i in prediction["classes"]]
    scores = prediction["scores"].tolist()
    visualize.write_png(f"{stem}_classes.png", pictures.draw(photo.pixels, names, scores))
    columns = [x for name, score in zip(names, scores, strict=True) for x in (name, f"{score:.6f}")]
    best = [f"{x}_{i}" for i in range(1, len(names) + 1) for x in ("class", "score")]
    self._tables.append(stem.parent / TABLE, ["photo", *best], [[photo.path.name, *columns]])
    if self._probabilities:
      row = [f"{x:.6f}" for x in prediction["probabilities"].tolist()]
      header = ["photo", *self._class_names]
      self._tables.append(stem.parent / PROBABILITIES, header, [[photo.path.name, *row]])


def build(loaded: networks.Loaded, *, probabilities: bool = False) -> ClassificationPredictor:
  """Takes the names and the transform of evaluation from a checkpoint."""
  transform = ClassificationEvalTransform(**loaded.config.transform.eval)
  return ClassificationPredictor(
    DatasetInfo.from_dict(loaded.dataset).class_names,
    transform,
    loaded.config.model.get("channels", 3),
    probabilities=probabilities,
  )
