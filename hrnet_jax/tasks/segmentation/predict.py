"""Photos to label maps: `(H, W, C)` uint8 -> padded `(32 n, 32 m, C)` -> class ids `(H, W)`."""

from collections.abc import Sequence
import dataclasses
import pathlib
from typing import Any

import cv2
import jax.numpy as jnp
import numpy as np

from hrnet_jax import visualize
from hrnet_jax.checkpoint import networks
from hrnet_jax.data import geometry, images
from hrnet_jax.data.dataset import DatasetInfo
from hrnet_jax.files import whole_file
from hrnet_jax.predict.predictor import Photo
from hrnet_jax.tasks.segmentation.pictures.panel import labelled

STRIDE = 32  # of the coarsest branch


@dataclasses.dataclass(frozen=True, kw_only=True)
class ScaledPhoto(Photo):
  """A photo, perhaps smaller, in the top left corner of the input.

  Attributes:
    size: its height and width there.
  """

  size: tuple[int, int]


@dataclasses.dataclass(frozen=True)
class SegmentationPredictor:
  """Writes `<stem>_labels.png`, ids at the photo's own size, and `<stem>_overlay.png` for people.

  If probabilities are asked for, `<stem>_probabilities.npz` has them in `probabilities (K, H, W)`
  float16, at the photo's own size, and the K names in `classes`.

  Attributes:
    class_names: of the data that the network was trained on.
    palette: a colour for each class.
    channels: that the network takes.
    probabilities: whether to write them.
  """

  class_names: tuple[str, ...]
  palette: tuple[tuple[int, int, int], ...]
  channels: int = 3
  probabilities: bool = False

  def decode(self, task: Any, outputs: Any, size: tuple[int, int]) -> Any:
    """Ids `(B, h, w)` uint8, or a pair of them and the probabilities `(B, h, w, K)` float16."""
    labels = task.predict(outputs, size)
    if not self.probabilities:
      return labels
    return labels, task.probabilities(outputs, size).astype(jnp.float16)

  def load(self, path: pathlib.Path, max_side: int) -> ScaledPhoto:
    """Reduces a long side above `max_side` and pads with black at the bottom and right.

    Sides are padded to multiples of 32, so that photos of similar sizes share one compiled program.
    """
    pixels = images.read_image(path, self.channels)
    scale = min(1.0, max_side / max(pixels.shape[:2]))
    height, width = (max(1, round(side * scale)) for side in pixels.shape[:2])
    small, note = pixels, ""
    if scale < 1:
      small = geometry.with_opencv(
        pixels, lambda x: cv2.resize(x, (width, height), interpolation=cv2.INTER_AREA)
      )
      note = (
        f"{path.name}: reduced from {pixels.shape[1]} x {pixels.shape[0]} to {width} x {height} "
        "for the network; its label map has the photo's own size"
      )
    padded = np.pad(small, ((0, -height % STRIDE), (0, -width % STRIDE), (0, 0)))
    return ScaledPhoto(path, visualize.as_rgb(pixels), (padded,), note, size=(height, width))

  def save(self, photo: ScaledPhoto, predictions: Sequence[Any], stem: pathlib.Path) -> None:
    """Writes the label map and an overlay with a legend; a prediction is `decode`'s."""
    height, width = photo.pixels.shape[:2]
    (prediction,) = predictions
    if self.probabilities:
      prediction, probabilities = prediction
      self._save_probabilities(photo, probabilities, f"{stem}_probabilities.npz")
    label = prediction[: photo.size[0], : photo.size[1]]
    if photo.size != (height, width):
      label = cv2.resize(label, (width, height), interpolation=cv2.INTER_NEAREST_EXACT)
    visualize.write_png(f"{stem}_labels.png", label)
    picture = labelled(photo.pixels, label, self.palette, self.class_names)
    visualize.write_png(f"{stem}_overlay.png", picture)

  def _save_probabilities(self, photo: ScaledPhoto, values: np.ndarray, path: str) -> None:
    height, width = photo.pixels.shape[:2]
    whole = np.empty((values.shape[-1], height, width), np.float16)
    for number in range(len(whole)):  # one class at a time: all in float32 would be twice as much
      plane = values[: photo.size[0], : photo.size[1], number]
      if photo.size != (height, width):
        plane = cv2.resize(
          plane.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR
        )
      whole[number] = plane
    with whole_file(pathlib.Path(path)) as temporary, temporary.open("wb") as file:
      np.savez_compressed(file, probabilities=whole, classes=np.array(self.class_names))


def build(loaded: networks.Loaded, *, probabilities: bool = False) -> SegmentationPredictor:
  """Takes names and colours from a checkpoint."""
  info = DatasetInfo.from_dict(loaded.dataset)
  channels = loaded.config.model.get("channels", 3)
  return SegmentationPredictor(info.class_names, info.palette, channels, probabilities)
