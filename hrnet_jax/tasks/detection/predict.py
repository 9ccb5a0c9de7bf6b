"""Photos to objects: `(H, W, C)` uint8 -> resized, on a canvas `(h, w, C)` -> boxes and masks."""

from collections.abc import Iterator, Mapping, Sequence
import dataclasses
import json
import pathlib
from typing import Any

import numpy as np

from hrnet_jax import visualize
from hrnet_jax.checkpoint import networks
from hrnet_jax.data import images
from hrnet_jax.data.dataset import DatasetInfo
from hrnet_jax.files import write_whole
from hrnet_jax.ops import rle
from hrnet_jax.ops.boxes import Convention
from hrnet_jax.predict.predictor import Photo
from hrnet_jax.tasks.detection.metrics import ImageDetections, xywh
from hrnet_jax.tasks.detection.pictures import Objects, draw_objects
from hrnet_jax.tasks.detection.scores import DetectionCollector
from hrnet_jax.tasks.detection.task import SHOWN
from hrnet_jax.tasks.detection.transforms import DetectionEvalTransform


@dataclasses.dataclass(frozen=True, kw_only=True)
class PlacedPhoto(Photo):
  """A photo in the top left corner of a canvas.

  Attributes:
    place: `scale (2,)` and `original_size (2,)`, with which boxes find back into the photo.
  """

  place: Mapping[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class DetectionPredictor:
  """Writes `<stem>_objects.png` for people, and all objects to `<stem>_objects.json`.

  The keys of the JSON file are those of COCO's results where these have them; everything is in
  pixels of the upright photo.

  Attributes:
    class_names: of the data that the network was trained on.
    palette: a colour for each class.
    transform: of evaluation. It has one canvas, or one for wide and one for tall photos, so that
      there are two programs at most.
    convention: of the network's boxes.
    channels: that the network takes.
  """

  class_names: tuple[str, ...]
  palette: tuple[tuple[int, int, int], ...]
  transform: DetectionEvalTransform
  convention: Convention
  channels: int = 3

  def load(self, path: pathlib.Path, max_side: int) -> PlacedPhoto:
    """The network sees the photo at the size at which it was evaluated.

    Raises:
      ValueError: the photo is damaged, or so long that it does not fit the canvas.
    """
    del max_side
    pixels = images.read_image(path, self.channels)
    seen = self.transform.apply(pixels, str(path))
    extras = ({"size": seen["image_size"]},)
    place = {key: seen[key] for key in ("scale", "original_size")}
    return PlacedPhoto(path, visualize.as_rgb(pixels), (seen["image"],), extras=extras, place=place)

  def save(
    self, photo: PlacedPhoto, predictions: Sequence[Mapping[str, Any]], stem: pathlib.Path
  ) -> None:
    """Draws objects with a score of `SHOWN` or more; a prediction is that of the task."""
    (prediction,) = predictions
    collected = DetectionCollector(self.convention)
    collected.add(0, prediction, photo.place)
    found = collected.found[0]
    height, width = photo.pixels.shape[:2]
    facts = {
      "photo": photo.path.name,
      "width": width,
      "height": height,
      "objects": list(self._entries(found, (height, width))),
    }
    path = pathlib.Path(f"{stem}_objects.json")
    write_whole(path, json.dumps(facts, indent=1, ensure_ascii=False) + "\n")
    objects = _drawn(found, (height, width))
    picture = draw_objects(photo.pixels, objects, self.palette, self.class_names)
    visualize.write_png(f"{stem}_objects.png", picture)

  def _entries(self, found: ImageDetections, size: tuple[int, int]) -> Iterator[dict[str, Any]]:
    """The objects, the best first."""
    for row, box in enumerate(xywh(found.boxes)):
      entry = {
        "class": self.class_names[int(found.classes[row])],
        "score": round(float(found.scores[row]), 6),
        "bbox": [round(x, 3) for x in box],
      }
      if found.masks is not None:
        entry["segmentation"] = {"size": list(size), "counts": found.masks[row]}
      yield entry


def build(loaded: networks.Loaded) -> DetectionPredictor:
  """Takes names, colours and the transform of evaluation from a checkpoint."""
  info = DatasetInfo.from_dict(loaded.dataset)
  return DetectionPredictor(
    info.class_names,
    info.palette,
    DetectionEvalTransform(**loaded.config.transform.eval),
    Convention(loaded.config.model.get("convention", Convention.MODERN)),
    loaded.config.model.get("channels", 3),
  )


def _drawn(found: ImageDetections, size: tuple[int, int]) -> Objects:
  rows = np.flatnonzero(found.scores >= SHOWN)
  masks = None if found.masks is None else [rle.decode(found.masks[row], size) for row in rows]
  return Objects(found.boxes[rows], found.classes[rows], found.scores[rows], masks)
