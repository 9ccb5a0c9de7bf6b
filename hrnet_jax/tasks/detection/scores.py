"""Detections of a split on the host, and what they score: predictions of images -> figures."""

from collections.abc import Mapping, Sequence
import dataclasses
import math
from typing import Any

import numpy as np

from hrnet_jax.ops import masks, rle
from hrnet_jax.ops.boxes import Convention
from hrnet_jax.tasks.detection import metrics
from hrnet_jax.tasks.interface import Sums

_PREFIX = {"bbox": "", "segm": "mask_"}


@dataclasses.dataclass
class DetectionCollector:
  """The detections of images at their own size; see `tasks.interface.Collector`.

  Attributes:
    convention: of the predicted boxes.
    found: by position in the data set.
  """

  convention: Convention
  found: dict[int, metrics.ImageDetections] = dataclasses.field(default_factory=dict)

  def add(
    self, index: int, prediction: Mapping[str, np.ndarray], example: Mapping[str, np.ndarray]
  ) -> None:
    """Takes a prediction of the task; `example` has the `scale` and the `original_size`."""
    rows = np.flatnonzero(prediction["valid"])
    boxes = prediction["boxes"][rows] / np.tile(example["scale"][::-1], 2)
    pasted = None
    if "masks" in prediction:
      size = tuple(int(n) for n in example["original_size"])
      pasted = tuple(
        rle.encode(masks.paste(mask, box, size, convention=self.convention))
        for mask, box in zip(prediction["masks"][rows], boxes, strict=True)
      )
    # Of all conventions COCO's own one, in which a box ends where its last pixel ends.
    boxes[:, 2:] += self.convention.offset
    scores, classes = prediction["scores"][rows], prediction["classes"][rows]
    self.found[index] = metrics.ImageDetections(boxes, scores, classes, pasted)

  def pack(self) -> bytes:
    """Everything collected so far, for other processes."""
    return metrics.pack(self.found)

  def merge(self, packed: Sequence[bytes]) -> Sums:
    """The detections of all processes, by position."""
    return {"detections": {k: v for data in packed for k, v in metrics.unpack(data).items()}}


def score(
  truth: metrics.GroundTruth,
  found: Mapping[int, metrics.ImageDetections],
  kinds: Sequence[str],
  class_names: Sequence[str],
) -> dict[str, Any]:
  """COCO's figures of the images that there are detections of.

  Args:
    truth: of the whole split.
    found: by position in it.
    kinds: of `coco.KINDS`.
    class_names: K names.

  Returns:
    `AP`, `AP50`, ... and `class_AP` by name, those of masks with `mask_` before; and `images`.
    What there is nothing to find for is left out.
  """
  positions = sorted(found)
  part = truth.part(positions)
  renumbered = {number: found[position] for number, position in enumerate(positions)}
  report: dict[str, Any] = {}
  for kind in kinds:
    scores, prefix = metrics.evaluate(part, renumbered, kind), _PREFIX[kind]
    report |= {f"{prefix}{k}": v for k, v in scores.figures.items() if not math.isnan(v)}
    by_class = zip(class_names, scores.class_ap.tolist(), strict=True)
    report[f"{prefix}class_AP"] = {name: v for name, v in by_class if not math.isnan(v)}
  return {"AP": 0.0, **report, "images": len(positions)}


def in_words(report: Mapping[str, Any]) -> str:
  """A line for each class, then COCO's figures, in percent."""
  columns = [prefix for prefix in _PREFIX.values() if f"{prefix}class_AP" in report]
  names = list(report["class_AP"])
  width = max([len("AR_medium"), *map(len, names)])
  heads = "".join(f"  {'mask' if prefix else 'box':>6}" for prefix in columns)
  lines = [f"{'class':<{width}}{heads}"]
  for name in names:
    lines.append(_line(name, [report[f"{x}class_AP"].get(name) for x in columns], width))
  lines.append("-" * len(lines[0]))
  for key in metrics.FIGURES:
    lines.append(_line(key, [report.get(f"{x}{key}") for x in columns], width))
  return "\n".join([*lines, f"{'images':<{width}}  {report['images']:6d}"])


def _line(name: str, values: Sequence[float | None], width: int) -> str:
  cells = "".join(f"  {100 * v:6.2f}" if v is not None else f"  {'-':>6}" for v in values)
  return f"{name:<{width}}{cells}"
