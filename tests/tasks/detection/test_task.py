"""Detection: what is found is scored as COCO does, and all heads have a share in the loss."""

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import pytest

from hrnet_jax.data import images, prepared
from hrnet_jax.tasks.detection import task as detection
from hrnet_jax.tasks.detection import transforms
from hrnet_jax.tasks.detection.detector import LossInputs, TrainingOutputs
from tests.helpers import coco_miniature, toy

CANVAS = ((64, 96), (96, 64))


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
  folder = tmp_path_factory.mktemp("coco")
  content = coco_miniature.content()
  # Without what is too small to be learned; everything else has a mask.
  content["annotations"] = [row for row in content["annotations"] if row["id"] != 11]
  content["annotations"][-1]["segmentation"] = {"size": [40, 40], "counts": [0, 1600]}
  source = coco_miniature.write(folder / "source", {"train": content, "val": content})
  return prepared.prepare("coco/miniature", folder, source=source)[0]


def config(**model):
  trunk = {key: toy.MODEL[key] for key in ("width", "modules", "blocks", "bottlenecks")}
  options = {"method": "mask_rcnn", "roi_batch_size": 16, "num_classes": 3, "bottleneck_width": 4}
  return ml_collections.ConfigDict(
    {
      "model": {"task": "detection", **trunk, **options, **model},
      "data": {"eval_split": "val"},
      "loss": {},
    }
  )


@pytest.fixture
def task(dataset):
  return detection.build(config(), dataset)


@pytest.fixture
def examples(dataset):
  transform = transforms.DetectionEvalTransform(canvas=CANVAS, scale=(96, 64), masks=True)
  records = list(dataset.source("val"))
  return [transform.map(x | {"image": images.decode_image(x["image"], x["name"])}) for x in records]


def as_prediction(example, scores=1.0):
  """The objects of an example, as if the network had found them."""
  count = len(example["valid"])
  masks = example["masks"] / 255.0
  small = masks.reshape(count, 28, 4, 28, 4).mean((2, 4))
  return {
    "boxes": example["boxes"],
    "scores": np.full(count, scores, np.float32),
    "classes": example["classes"],
    "valid": example["valid"],
    "masks": small,
  }


def gathered(task, examples, predictions):
  """Totals of two processes, each of which has every second image."""
  parts = [task.collector() for _ in range(2)]
  for index, (example, prediction) in enumerate(zip(examples, predictions, strict=True)):
    parts[index % 2].add(index, prediction, example)
  return parts[0].merge([part.pack() for part in parts])


def test_the_truth_scores_one(task, examples):
  report = task.report(gathered(task, examples, map(as_prediction, examples)))
  assert report["AP"] == pytest.approx(1.0)
  assert report["AR100"] == pytest.approx(1.0)
  assert report["images"] == 4
  assert report["mask_AP50"] == pytest.approx(1.0)
  table = task.table(report)
  assert "100.00" in table
  assert table.splitlines()[-1].split() == ["images", "4"]


def test_legacy_boxes_are_a_pixel_shorter(dataset, examples):
  task = detection.build(config(convention="legacy"), dataset)
  boxes = task.inputs(
    {key: np.stack([x[key] for x in examples])
     for key in ("image_size", "boxes", "classes", "valid", "masks")}
  )["truth"].boxes  # fmt: skip
  predictions = [
    as_prediction(x) | {"boxes": np.asarray(b)} for x, b in zip(examples, boxes, strict=True)
  ]
  np.testing.assert_array_equal(predictions[0]["boxes"] + [0, 0, 1, 1], examples[0]["boxes"])
  # The pixel is one of the network's input, and of the image when it comes back.
  assert task.report(gathered(task, examples, predictions))["AP50"] == pytest.approx(1.0)


def test_nothing_found_scores_nothing(task, examples):
  predictions = [as_prediction(x) | {"valid": np.zeros_like(x["valid"])} for x in examples]
  report = task.report(gathered(task, examples, predictions))
  assert report["AP"] == 0
  assert report["AR100"] == 0


def test_a_part_of_the_images_can_be_scored(task, examples):
  found = task.collector()
  index = next(i for i, x in enumerate(examples) if x["valid"].any())
  found.add(index, as_prediction(examples[index]), examples[index])
  report = task.report(found.merge([found.pack()]))
  assert report["images"] == 1
  assert report["AP"] == pytest.approx(1.0)


def test_pictures_show_what_was_found_beside_the_truth(task, examples):
  example = next(x for x in examples if x["valid"].any())
  picture = task.picture(example["image"], as_prediction(example), example)
  nothing = as_prediction(example) | {"valid": np.zeros_like(example["valid"])}
  other = task.picture(example["image"], nothing, example)
  assert picture.shape == other.shape
  left, right = np.array_split(np.abs(picture.astype(int) - other).max(-1), 2, axis=1)
  assert left.any()
  assert not right.any()


def test_quality_is_the_overlap_with_the_best_box_of_the_class(task, examples):
  from hrnet_jax.tasks.detection.detector import InferenceOutputs
  from hrnet_jax.tasks.detection.postprocess import PaddedDetections

  batch = {key: np.stack([x[key] for x in examples]) for key in ("boxes", "classes", "valid")}
  right = PaddedDetections(batch["boxes"], np.ones_like(batch["valid"], np.float32),
                     batch["classes"], batch["valid"])  # fmt: skip
  quality = np.asarray(task.per_example_score(InferenceOutputs(right, None), batch))
  has_objects = batch["valid"].any(1)
  np.testing.assert_allclose(quality[has_objects], 1.0, rtol=1e-6)
  assert np.isnan(quality[~has_objects]).all()
  other = right._replace(classes=(right.classes + 1) % 3)
  assert (
    np.asarray(task.per_example_score(InferenceOutputs(other, None), batch))[has_objects].max() < 1
  )


def learned(*shape, boxes=()):
  count = shape[1]
  positive = np.arange(count) < 2
  return LossInputs(
    logits=jnp.zeros((*shape, 4)) if boxes else jnp.zeros(shape),
    deltas=jnp.zeros((*shape, *boxes, 4)),
    labels=jnp.asarray(np.where(positive, 1, 3 if boxes else 0))[None],
    objects=jnp.asarray(np.where(positive, 1, 0))[None],
    targets=jnp.asarray(np.where(positive[:, None], 0.5, 0.0).repeat(4, 1))[None],
    positive=jnp.asarray(positive)[None],
    valid=jnp.ones(shape, bool),
    mask_logits=jnp.zeros((1, 2, 28, 28, 3)) if boxes else None,
    mask_targets=jnp.ones((1, 2, 28, 28)) if boxes else None,
  )


@pytest.mark.optimised
@pytest.mark.parametrize(
  ("method", "weights"), [("mask_rcnn", [1]), ("cascade_mask_rcnn", [1, 0.5, 0.25])]
)
def test_losses_by_hand(dataset, method, weights):
  """Undecided scores cost a logarithm; two of eight candidates are half a unit off on each side."""
  task = detection.build(config(method=method), dataset)
  boxes = (1,) if len(weights) > 1 else (3,)
  outputs = TrainingOutputs(learned(1, 8), tuple(learned(1, 8, boxes=boxes) for _ in weights))
  loss, parts = jax.jit(lambda x: task.loss(x, {}))(outputs)
  smooth = len(weights) > 1
  proposal_boxes = 2 * 4 * (0.5 - 0.5 / 9 if smooth else 0.5) / 8
  stage_boxes = 2 * 4 * (0.125 if smooth else 0.5) / 8
  expected = np.log(2) + proposal_boxes
  expected += sum(w * (np.log(4) + stage_boxes + np.log(2)) for w in weights)
  np.testing.assert_allclose(loss, expected, rtol=1e-6)
  np.testing.assert_allclose(sum(parts.values()), loss, rtol=1e-6)


def test_another_number_of_classes_is_refused(dataset):
  with pytest.raises(ValueError, match=r"model.num_classes is 5, but the data set has 3 classes"):
    detection.build(config(num_classes=5), dataset)
