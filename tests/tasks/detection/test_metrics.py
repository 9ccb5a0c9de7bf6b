"""Average precision by hand, and equal to pycocotools on the data set's own file."""

import contextlib
import io
import json

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
import pytest

from hrnet_jax.data import prepared
from hrnet_jax.ops import rle
from hrnet_jax.tasks.detection import metrics
from hrnet_jax.tasks.detection.datasets.coco import corners
from hrnet_jax.tasks.detection.metrics import GroundTruth, ImageDetections
from tests.helpers import coco_miniature as mini


def record(image_id, boxes, classes, crowd=None, areas=None, size=(60, 80), masks=True):
  bboxes = np.array([[x0, y0, x1 - x0, y1 - y0] for x0, y0, x1, y1 in boxes], np.float64)
  bboxes, count = bboxes.reshape(-1, 4), len(boxes)
  texts = [rle.encode(filled(box, size)) for box in boxes] if masks else [None] * count
  return {
    "image_id": image_id,
    "name": f"image_{image_id}",
    "size": np.array(size, np.int32),
    "bboxes": bboxes,
    "boxes": corners(bboxes),
    "classes": np.array(classes, np.int32),
    "areas": np.array(areas if areas is not None else bboxes[:, 2:].prod(1)),
    "crowd": np.array(crowd or [False] * count, np.bool_),
    "ids": np.arange(count),
    "masks": json.dumps(texts),
  }


def filled(box, size):
  x0, y0, x1, y1 = box
  mask = np.zeros(size, np.uint8)
  mask[y0:y1, x0:x1] = 1
  return mask


def found(boxes, scores, classes, size=(60, 80)):
  masks = tuple(rle.encode(filled(box, size)) for box in boxes)
  return ImageDetections(
    np.array(boxes, np.float32).reshape(-1, 4), np.float32(scores), np.int32(classes), masks
  )


def perfect(record):
  """The truth as if it had been found, crowds left out."""
  keep = np.flatnonzero(~record["crowd"])
  texts = json.loads(record["masks"])
  masks = tuple(texts[i] for i in keep) if all(texts) else None
  scores = np.linspace(1, 0.5, len(keep), dtype=np.float32)
  return ImageDetections(record["boxes"][keep], scores, record["classes"][keep], masks)


BOXES = [[0, 0, 20, 20], [30, 10, 60, 50]]
RECORDS = [
  record(7, BOXES, [0, 1]),
  record(5, [], []),
  record(9, [[10, 10, 30, 30], [40, 0, 80, 60]], [0, 0], crowd=[False, True]),
]
TRUTH = GroundTruth.of(RECORDS, (20, 10, 30))


@pytest.mark.parametrize("kind", metrics.KINDS)
def test_truth_found_is_perfect(kind):
  scores = metrics.evaluate(TRUTH, {i: perfect(r) for i, r in enumerate(RECORDS)}, kind)
  assert list(scores.figures) == list(metrics.FIGURES)
  there = ("AP", "AP50", "AP75", "AP_small", "AP_medium", "AP50_medium", "AR1", "AR100", "AR_small")
  for name in there:
    assert scores.figures[name] == pytest.approx(1.0), name
  assert np.isnan([scores.figures[name] for name in ("AP_large", "AP50_large")]).all()
  np.testing.assert_allclose(scores.class_ap, [1, 1, np.nan])


@pytest.mark.parametrize("kind", metrics.KINDS)
def test_figures_by_hand(kind):
  # Of class 0 one object of two, after a false one: precision 1/2 up to recall 1/2, that is at 51
  # of 101 levels. The object of class 1 is found with an IoU of 0.75: at 6 of 10 thresholds.
  detections = {
    0: found(
      [[50, 20, 70, 40], [0, 0, 20, 20], [30, 10, 60, 40], [1, 1, 9, 9]],
      [0.9, 0.8, 0.7, 0.99],
      [0, 0, 1, 2],
    ),
    1: found([], [], []),
    2: found([], [], []),
  }
  scores = metrics.evaluate(TRUTH, detections, kind)
  first = 51 / 101 / 2
  np.testing.assert_allclose(scores.class_ap, [first, 0.6, np.nan], atol=1e-9)
  assert scores.figures["AP"] == pytest.approx((first + 0.6) / 2)
  assert scores.figures["AP50"] == pytest.approx((first + 1) / 2)
  assert scores.figures["AR100"] == pytest.approx((0.5 + 0.6) / 2)
  assert scores.figures["AR1"] == pytest.approx((0 + 0.6) / 2)
  assert scores.figures["AP_small"] == pytest.approx(first)


@pytest.mark.parametrize("kind", metrics.KINDS)
def test_what_lies_in_a_crowd_is_not_wrong(kind):
  wrong = {i: perfect(r) for i, r in enumerate(RECORDS)}
  boxes = [[45, 5, 65, 25], [50, 30, 75, 55], [10, 10, 30, 30]]
  wrong[2] = found(boxes, [1, 1, 0.5], [0, 0, 0])
  assert metrics.evaluate(TRUTH, wrong, kind).figures["AP"] == pytest.approx(1.0)
  boxes[0] = [0, 40, 20, 60]  # not in it
  wrong[2] = found(boxes, [1, 1, 0.5], [0, 0, 0])
  assert metrics.evaluate(TRUTH, wrong, kind).figures["AP"] < 1


def test_nothing_found_and_nothing_to_find():
  nothing = {i: found([], [], []) for i in range(3)}
  for kind in metrics.KINDS:
    scores = metrics.evaluate(TRUTH, nothing, kind)
    assert scores.figures["AP"] == scores.figures["AR100"] == 0
    np.testing.assert_array_equal(scores.class_ap, [0, 0, np.nan])
  empty = GroundTruth.of([record(1, [], [])], (1,))
  assert np.isnan(metrics.evaluate(empty, {0: found([[1, 1, 5, 5]], [1], [0])}).figures["AP"])


def test_nothing_is_printed(capsys):
  metrics.evaluate(TRUTH, {i: perfect(r) for i, r in enumerate(RECORDS)})
  assert capsys.readouterr().out == ""


def test_results_have_the_ids_of_the_data_set():
  detections = {0: found([[30, 10, 60, 50]], [0.5], [1]), 2: found([[1, 2, 4, 8]], [0.25], [2])}
  boxes = metrics.results(TRUTH, detections)
  assert boxes == [
    {"image_id": 7, "category_id": 10, "score": 0.5, "bbox": [30, 10, 30, 40]},
    {"image_id": 9, "category_id": 30, "score": 0.25, "bbox": [1, 2, 3, 6]},
  ]
  masks = json.loads(json.dumps(metrics.results(TRUTH, detections, "segm")))
  assert [sorted(row) for row in masks] == [
    ["category_id", "image_id", "score", "segmentation"]
  ] * 2
  mask = rle.decode(masks[0]["segmentation"]["counts"], tuple(masks[0]["segmentation"]["size"]))
  np.testing.assert_array_equal(mask, filled([30, 10, 60, 50], (60, 80)))


def test_packed_and_unpacked_is_the_same():
  detections = {i: perfect(r) for i, r in enumerate(RECORDS)}
  detections[11] = found([[1, 1, 2, 2]] * 3, [0.1, 0.2, 0.3], [0, 1, 2])
  again = metrics.unpack(metrics.pack(detections))
  assert list(again) == [0, 1, 2, 11]
  for index, expected in detections.items():
    for key in ("boxes", "scores", "classes"):
      value = getattr(again[index], key)
      np.testing.assert_array_equal(value, getattr(expected, key))
      assert value.dtype == getattr(expected, key).dtype
    assert again[index].masks == expected.masks
  assert metrics.unpack(metrics.pack({})) == {}
  bare = {4: ImageDetections(np.zeros((1, 4), np.float32), np.ones(1), np.zeros(1, np.int32))}
  assert metrics.unpack(metrics.pack(bare))[4].masks is None


def test_errors():
  whole = {i: perfect(r) for i, r in enumerate(RECORDS)}
  with pytest.raises(ValueError, match=r"there are no detections of image 1; expected .* 3 images"):
    metrics.evaluate(TRUTH, {0: whole[0], 2: whole[2]})
  with pytest.raises(ValueError, match="there are detections of image 3"):
    metrics.evaluate(TRUTH, whole | {3: whole[0]})
  with pytest.raises(ValueError, match="unknown kind 'mask' of scores; known: bbox, segm"):
    metrics.evaluate(TRUTH, whole, "mask")
  bare = GroundTruth.of([record(1, BOXES, [0, 1], masks=False)], (1, 2))
  with pytest.raises(ValueError, match="image_1, object 0, has no mask to compare with"):
    metrics.evaluate(bare, {0: whole[0]}, "segm")
  assert metrics.evaluate(bare, {0: whole[0]}).figures["AP"] == pytest.approx(1)
  boxes = ImageDetections(np.zeros((1, 4)), np.ones(1), np.zeros(1, int))
  with pytest.raises(ValueError, match="the detections have no masks"):
    metrics.evaluate(TRUTH, whole | {1: boxes}, "segm")
  with pytest.raises(ValueError, match="the same image_id"):
    GroundTruth.of([RECORDS[0], RECORDS[0]], (1, 2))
  with pytest.raises(ValueError, match=r"boxes have shape \(2, 4\), expected \(1, 4\)"):
    ImageDetections(np.zeros((2, 4)), np.ones(1), np.zeros(1))
  with pytest.raises(ValueError, match="not finite"):
    ImageDetections(np.full((1, 4), np.nan), np.ones(1), np.zeros(1))


def random_detections(records, num_classes, seed):
  """Objects near the true ones, some missed, some of a wrong class, and noise; scores with ties."""
  rng = np.random.default_rng(seed)
  detections = {}
  for index, row in enumerate(records):
    near = np.flatnonzero(rng.random(len(row["classes"])) < 0.8)
    noise = rng.uniform(0, 300, (rng.integers(0, 6), 4))
    noise[:, 2:] += noise[:, :2] + 4
    shift = rng.normal(0, 1, (len(near), 4)) * rng.choice([0, 1, 5, 20], (len(near), 1))
    boxes = np.concatenate([row["boxes"][near] + shift, noise]).astype(np.float32)
    boxes[:, 2:] = np.maximum(boxes[:, 2:], boxes[:, :2] + 1)
    classes = rng.integers(0, num_classes, len(boxes)).astype(np.int32)
    right = rng.random(len(near)) < 0.85
    classes[: len(near)][right] = row["classes"][near][right]
    size = tuple(row["size"].tolist())
    limits = np.clip(boxes, 0, [*size[::-1], *size[::-1]]).astype(int)
    masks = tuple(rle.encode(filled(box, size)) for box in limits)
    scores = rng.integers(0, 20, len(boxes)).astype(np.float32) / 20
    detections[index] = ImageDetections(boxes, scores, classes, masks)
  return detections


def direct(path, rows, kind):
  """Pycocotools on files, and nothing of ours but the entries."""
  with contextlib.redirect_stdout(io.StringIO()):
    truth = COCO(str(path))
    run = COCOeval(truth, truth.loadRes(json.loads(json.dumps(rows))), kind)
    run.evaluate()
    run.accumulate()
    run.summarize()
  return np.where(run.stats == -1, np.nan, run.stats)


@pytest.mark.parametrize("kind", metrics.KINDS)
def test_as_pycocotools_on_the_miniature(kind, tmp_path):
  content = mini.content()
  content["annotations"][5]["segmentation"] = {"size": [40, 40], "counts": [0, 90, 1510]}
  for row in content["annotations"]:
    row.setdefault("iscrowd", 0)  # pycocotools insists on it
  folder = mini.write(tmp_path / "source", {"val": content})
  dataset, _ = prepared.prepare("coco/mini", tmp_path / "data", source=folder)
  assert compare(dataset, "val", folder / "annotations" / "instances_val.json", kind)


@pytest.mark.parametrize("kind", metrics.KINDS)
def test_as_pycocotools_on_coco128(kind, shared, tmp_path):
  folder = shared / "data" / "coco128"
  dataset, _ = prepared.prepare("coco/coco128", tmp_path, source=folder)
  seen = compare(dataset, "val2017", folder / "annotations" / "instances_val2017.json", kind)
  assert len(seen) == 3
  assert 0.05 < min(seen) < max(seen) < 0.9
  records = list(dataset.source("val2017"))
  truth = GroundTruth.of(records, dataset.class_ids)
  scores = metrics.evaluate(truth, {i: perfect(r) for i, r in enumerate(records)}, kind)
  for name in metrics.FIGURES[:6] + metrics.FIGURES[8:]:
    assert scores.figures[name] == pytest.approx(1.0), name


def compare(dataset, split, path, kind):
  records = list(dataset.source(split))
  truth = GroundTruth.of(records, dataset.class_ids)
  seen = set()
  for seed in range(3):
    detections = random_detections(records, len(dataset.class_ids), seed)
    figures = metrics.evaluate(truth, detections, kind).figures
    own = [figures[name] for name in metrics.COCO_FIGURES]
    np.testing.assert_array_equal(own, direct(path, metrics.results(truth, detections, kind), kind))
    seen.add(own[0])
  return seen
