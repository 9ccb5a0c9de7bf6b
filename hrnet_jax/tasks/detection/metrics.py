"""COCO's average precision and recall: detections of images `{index: (D, ...)}` -> 14 figures.

All is done on hosts by pycocotools. Each process collects the detections of its own images; as
bytes (`pack`, `unpack`) they go to all processes, which score the whole set. Boxes are x0 y0 x1 y1
in pixels of the image as stored. Areas, thresholds and crowds are those of
https://cocodataset.org/#detection-eval.
"""

from collections.abc import Iterable, Mapping
import contextlib
import dataclasses
import io
import json
from typing import Any

import numpy as np
from pycocotools import coco as coco_api
from pycocotools import cocoeval

from hrnet_jax.errors import UserError

# As pycocotools orders them. Small areas end at 32 x 32 pixels, medium ones at 96 x 96.
COCO_FIGURES = (
  *("AP", "AP50", "AP75", "AP_small", "AP_medium", "AP_large"),
  *("AR1", "AR10", "AR100", "AR_small", "AR_medium", "AR_large"),
)
FIGURES = (*COCO_FIGURES, "AP50_medium", "AP50_large")
KINDS = ("bbox", "segm")
_NONE = -1  # what pycocotools says where there is no truth


@dataclasses.dataclass(frozen=True)
class ImageDetections:
  """D objects found in an image; of more than 100 the best of each class count.

  Attributes:
    boxes: `(D, 4)`.
    scores: `(D,)`; among equal ones the first counts as better.
    classes: `(D,)` from 0.
    masks: D texts of `ops/rle.py` of the image's size, or None if there are no masks.
  """

  boxes: np.ndarray
  scores: np.ndarray
  classes: np.ndarray
  masks: tuple[str, ...] | None = None

  def __post_init__(self):
    count = len(self.scores)
    shapes = {
      "boxes": (np.shape(self.boxes), (count, 4)),
      "classes": (np.shape(self.classes), (count,)),
    }
    if self.masks is not None:
      shapes["masks"] = ((len(self.masks),), (count,))
    for name, (found, expected) in shapes.items():
      if found != expected:
        raise ValueError(f"{name} have shape {found}, expected {expected} for {count} scores")
    if not (np.isfinite(self.boxes).all() and np.isfinite(self.scores).all()):
      raise UserError("boxes or scores are not finite: the network's output is not a number")


@dataclasses.dataclass(frozen=True)
class GroundTruth:
  """The objects of a split, as pycocotools wants them.

  Attributes:
    images: for each position in the split the `id`, `height` and `width`.
    annotations: with `category_id` as in the data set's own files; ids count from 1.
    class_ids: the ids of the categories by class.
    without_mask: the first object that has none, for errors; empty if all have one.
  """

  images: tuple[dict[str, int], ...]
  annotations: tuple[dict[str, Any], ...]
  class_ids: tuple[int, ...]
  without_mask: str = ""

  @classmethod
  def of(cls, records: Iterable[Mapping[str, Any]], class_ids: Iterable[int]) -> "GroundTruth":
    """Reads the truth from records of `data/builders/coco.py`.

    Args:
      records: of the whole split in order.
      class_ids: of the data set.

    Raises:
      ValueError: two images have one id.
    """
    images, annotations, ids, without = [], [], tuple(class_ids), ""
    for record in records:
      height, width = (int(n) for n in record["size"])
      images.append({"id": int(record["image_id"]), "height": height, "width": width})
      for row, number in zip(_objects(record, ids), record["ids"], strict=True):
        without = without or ("" if row["segmentation"] else f"{record['name']}, object {number}")
        annotations.append(row | {"id": len(annotations) + 1})  # 0 would count as "no match"
    if len({image["id"] for image in images}) < len(images):
      raise UserError("two images of the split have the same image_id")
    return cls(tuple(images), tuple(annotations), ids, without)

  def part(self, positions: Iterable[int]) -> "GroundTruth":
    """The truth of some images of the split, which are renumbered from 0 in this order."""
    images = tuple(self.images[position] for position in positions)
    kept = {image["id"] for image in images}
    annotations = tuple(row for row in self.annotations if row["image_id"] in kept)
    return dataclasses.replace(self, images=images, annotations=annotations)


@dataclasses.dataclass(frozen=True)
class DetectionScores:
  """Figures in 0 to 1; NaN where there is no object to find.

  Attributes:
    figures: by the names in `FIGURES`.
    class_ap: `(K,)` AP of each class.
  """

  figures: dict[str, float]
  class_ap: np.ndarray


def evaluate(
  truth: GroundTruth, detections: Mapping[int, ImageDetections], kind: str = "bbox"
) -> DetectionScores:
  """Scores the detections of a whole split, up to 100 in an image.

  Args:
    truth: of the split.
    detections: by position in the split, of every image; those without any have empty arrays.
    kind: `bbox` compares boxes, `segm` masks.

  Raises:
    ValueError: an image is missing or too many, or masks are asked for and missing.
  """
  _check(truth, detections, kind)
  with contextlib.redirect_stdout(io.StringIO()):
    known = _dataset(truth, truth.annotations, kind)
    rows = results(truth, detections, kind)
    found = known.loadRes(rows) if rows else _dataset(truth, (), kind)
    run = cocoeval.COCOeval(known, found, kind)
    run.params.imgIds = [image["id"] for image in truth.images]
    run.params.catIds = sorted(truth.class_ids)
    run.evaluate()
    run.accumulate()
    run.summarize()
  figures = {name: _number(x) for name, x in zip(COCO_FIGURES, run.stats, strict=True)}
  precision = run.eval["precision"][..., -1]  # thresholds, recalls, categories, areas
  for area, name in enumerate(run.params.areaRngLbl):
    if name in ("medium", "large"):
      figures[f"AP50_{name}"] = _number(_mean(precision[0, ..., area]))
  precision = precision[..., 0]
  by_category = [_mean(precision[..., k]) for k in range(precision.shape[-1])]
  return DetectionScores(figures, np.array(by_category)[np.argsort(np.argsort(truth.class_ids))])


def results(
  truth: GroundTruth, detections: Mapping[int, ImageDetections], kind: str = "bbox"
) -> list[dict[str, Any]]:
  """Entries of a file of results in COCO's format, with the data set's own ids.

  Args:
    truth: of the split.
    detections: by position in the split.
    kind: `bbox` or `segm`. Files of the two differ: where a result has a box, COCO's tools take
      its area for that of the object.
  """
  rows = []
  for index in sorted(detections):
    found, image = detections[index], truth.images[index]
    boxes = xywh(found.boxes)
    for row, score in enumerate(found.scores):
      category = truth.class_ids[int(found.classes[row])]
      entry = {"image_id": image["id"], "category_id": category, "score": float(score)}
      shape = {"bbox": boxes[row]}
      if kind == "segm":
        size = [image["height"], image["width"]]
        shape = {"segmentation": {"size": size, "counts": found.masks[row]}}
      rows.append(entry | shape)
  return rows


def xywh(boxes: np.ndarray) -> list[list[float]]:
  """Boxes `(D, 4)` as COCO's files have them: left, top, width and height."""
  corner, end = np.split(boxes.astype(np.float64), 2, axis=1)
  return np.concatenate([corner, end - corner], axis=1).tolist()


def pack(detections: Mapping[int, ImageDetections]) -> bytes:
  """Detections as bytes, for other processes."""
  found = list(detections.values())
  arrays = {
    "index": np.array(list(detections), np.int64),
    "count": np.array([len(x.scores) for x in found], np.int64),
    "boxes": np.concatenate([x.boxes for x in found] or [np.zeros((0, 4), np.float32)]),
    "scores": np.concatenate([x.scores for x in found] or [np.zeros(0, np.float32)]),
    "classes": np.concatenate([x.classes for x in found] or [np.zeros(0, np.int32)]),
  }
  if found and all(x.masks is not None for x in found):
    text = "\n".join(mask for x in found for mask in x.masks)
    arrays["masks"] = np.frombuffer(text.encode(), np.uint8)
  file = io.BytesIO()
  np.savez(file, **arrays)
  return file.getvalue()


def unpack(data: bytes) -> dict[int, ImageDetections]:
  """Detections from `pack`, unchanged."""
  with np.load(io.BytesIO(data)) as arrays:
    ends = np.cumsum(arrays["count"])[:-1]
    columns = [np.split(arrays[key], ends) for key in ("boxes", "scores", "classes")]
    masks: list[Any] = [None] * len(arrays["index"])
    if "masks" in arrays:
      texts = iter(arrays["masks"].tobytes().decode().split("\n"))
      masks = [tuple(next(texts) for _ in range(count)) for count in arrays["count"]]
    index = arrays["index"].tolist()
  rows = zip(index, *columns, masks, strict=True) if index else ()
  return {position: ImageDetections(*row) for position, *row in rows}


def _objects(record, class_ids):
  size, masks = record["size"].tolist(), json.loads(record["masks"])
  columns = zip(record["bboxes"], record["classes"], record["areas"], record["crowd"], masks,
                strict=True)  # fmt: skip
  for bbox, label, area, crowd, mask in columns:
    yield {
      "image_id": int(record["image_id"]),
      "category_id": class_ids[int(label)],
      "bbox": bbox.tolist(),
      "area": float(area),
      "iscrowd": int(crowd),
      "segmentation": {"size": size, "counts": mask} if mask else None,
    }


def _check(truth, detections, kind):
  if kind not in KINDS:
    raise ValueError(f"unknown kind {kind!r} of scores; known: {', '.join(KINDS)}")
  expected = range(len(truth.images))
  if wrong := sorted(set(detections) ^ set(expected)):
    state = "there are no" if wrong[0] in expected else "there are"
    raise ValueError(
      f"{state} detections of image {wrong[0]}; expected those of {len(expected)} images, 0 to "
      f"{len(expected) - 1}, also of images in which nothing was found"
    )
  if kind == "segm" and truth.without_mask:
    raise UserError(f"{truth.without_mask}, has no mask to compare with; score boxes alone")
  if kind == "segm" and any(x.masks is None for x in detections.values()):
    raise UserError("the detections have no masks; score boxes alone")


def _dataset(truth, annotations, kind):
  """The API's own object; it writes into what it is given."""
  coco = coco_api.COCO()
  if kind == "bbox":
    annotations = [{k: v for k, v in row.items() if k != "segmentation"} for row in annotations]
  coco.dataset = {
    "info": {},
    "images": [dict(image) for image in truth.images],
    "annotations": [dict(row) for row in annotations],
    "categories": [{"id": number} for number in truth.class_ids],
  }
  coco.createIndex()
  return coco


def _number(value):
  return float("nan") if value == _NONE else float(value)


def _mean(values):
  values = values[values > _NONE]
  return float(values.mean()) if len(values) else float("nan")
