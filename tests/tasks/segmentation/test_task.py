"""The segmentation task on outputs of a few pixels."""

import dataclasses
import functools
import math

import flax.linen as nn
import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import pytest

from hrnet_jax.data.dataset import DatasetInfo
from hrnet_jax.ops.resize import Resize, resize
from hrnet_jax.tasks.segmentation.loss import cross_entropy
from hrnet_jax.tasks.segmentation.task import Segmentation, build

MODEL = {"task": "segmentation", "width": 4, "num_classes": 3, "upsample": "bilinear"}
FACTS = DatasetInfo(class_names=("sky", "road", "car"), palette=((0, 0, 0),) * 3)

TASK = Segmentation(
  model=nn.Module(),
  num_classes=3,
  upsample=Resize.BILINEAR,
  class_names=FACTS.class_names,
  palette=FACTS.palette,
)


def logits_for(classes: list, high: float = 9.0) -> jnp.ndarray:
  """Scores whose largest is at the given classes, `(B, H, W, 3)`."""
  return high * jax.nn.one_hot(jnp.array(classes), 3)


def test_loss_of_uniform_scores() -> None:
  batch = {"label": jnp.array([[[0, 1], [2, 255]]], jnp.uint8)}
  loss, scalars = TASK.loss(jnp.zeros((1, 1, 1, 3)), batch)
  np.testing.assert_allclose(loss, math.log(3), rtol=1e-6)
  assert scalars == {}


@pytest.mark.parametrize(
  ("upsample", "smooth"),
  [
    ("bilinear", "bilinear"),
    ("bilinear_aligned", "bilinear_aligned"),
    ("nearest", "bilinear"),  # logits are enlarged smoothly in any case
  ],
)
def test_loss_and_prediction_are_at_the_size_of_the_labels(upsample: str, smooth: str) -> None:
  task = dataclasses.replace(TASK, upsample=Resize(upsample), class_weights=(1.0, 2.0, 3.0))
  rng = np.random.default_rng(0)
  logits = jnp.asarray(rng.standard_normal((2, 2, 3, 3)), jnp.float32)
  labels = jnp.asarray(rng.integers(0, 3, (2, 7, 10)), jnp.uint8)
  full = resize(logits, (7, 10), smooth)
  expected = cross_entropy(full, labels, ignore=255, class_weights=(1.0, 2.0, 3.0))
  np.testing.assert_allclose(task.loss(logits, {"label": labels})[0], expected, rtol=1e-6)
  prediction = task.predict(logits, (7, 10))
  assert prediction.dtype == jnp.uint8
  np.testing.assert_array_equal(prediction, full.argmax(-1))


def test_loss_of_bfloat16_logits_is_float32() -> None:
  batch = {"label": jnp.zeros((1, 8, 8), jnp.uint8)}
  assert TASK.loss(jnp.zeros((1, 2, 2, 3), jnp.bfloat16), batch)[0].dtype == jnp.float32


def test_sums_leave_out_padded_examples_and_ignored_pixels() -> None:
  logits = logits_for([[[0, 1]], [[2, 2]], [[1, 1]]])
  batch = {
    "label": jnp.array([[[0, 2]], [[2, 255]], [[0, 0]]], jnp.uint8),
    "mask": jnp.array([True, True, False]),
  }
  sums = jax.jit(TASK.metric_sums)(logits, batch)
  np.testing.assert_array_equal(sums["confusion"], [[1, 0, 0], [0, 0, 0], [0, 1, 1]])
  nothing = jax.jit(TASK.metric_sums)(logits, {**batch, "mask": jnp.zeros(3, bool)})
  np.testing.assert_array_equal(nothing["confusion"], 0)


def test_sums_of_batches_add_up_to_the_sums_of_all() -> None:
  rng = np.random.default_rng(0)
  logits = jnp.asarray(rng.standard_normal((4, 2, 3, 3)), jnp.float32)
  labels = jnp.asarray(rng.choice([0, 1, 2, 255], (4, 8, 12)), jnp.uint8)

  def confusion(part: slice) -> jax.Array:
    mask = jnp.ones(len(labels[part]), bool)
    batch = {"label": labels[part], "mask": mask}
    return jax.jit(TASK.metric_sums)(logits[part], batch)["confusion"]

  whole, first, second = confusion(slice(4)), confusion(slice(1)), confusion(slice(1, 4))
  np.testing.assert_array_equal(whole, first + second)
  assert whole.sum() == (labels != 255).sum()


# Class 0: 3 of 4 right; class 1: 2 of 4; class 2: 1 of 2. Unions 5, 6 and 3.
CONFUSION = np.array([[3, 1, 0], [1, 2, 1], [0, 1, 1]], np.int64)


def test_report_by_hand() -> None:
  report = TASK.report({"confusion": CONFUSION})
  assert report["iou"] == {"sky": 3 / 5, "road": 1 / 3, "car": 1 / 3}
  assert report["support"] == {"sky": 4, "road": 4, "car": 2}
  assert report["pixels"] == 10
  np.testing.assert_allclose(report["mean_iou"], (3 / 5 + 2 / 3) / 3)
  np.testing.assert_allclose(report["pixel_accuracy"], 0.6)
  np.testing.assert_allclose(report["mean_accuracy"], 1.75 / 3)
  assert TASK.metric in report


def test_table_has_a_line_for_each_class_and_the_means() -> None:
  lines = TASK.table(TASK.report({"confusion": CONFUSION})).splitlines()
  assert [line.split() for line in lines[:4]] == [
    ["class", "IoU", "%", "pixels", "%"],
    ["sky", "60.00", "40.00"],
    ["road", "33.33", "40.00"],
    ["car", "33.33", "20.00"],
  ]
  assert set(lines[4]) == {"-"}
  assert [line.rsplit(maxsplit=1) for line in lines[5:]] == [
    ["mean iou", "42.22"],
    ["pixel accuracy", "60.00"],
    ["mean accuracy", "58.33"],
  ]


def test_table_of_nothing_counted() -> None:
  report = TASK.report({"confusion": np.zeros((3, 3), np.int64)})
  assert "0.00" in TASK.table(report)


def test_picture_is_an_image() -> None:
  image = np.zeros((32, 48, 3), np.uint8)
  labels = np.ones((32, 48), np.uint8)
  picture = TASK.picture(image, labels, {"image": image, "label": labels})
  assert picture.dtype == np.uint8
  assert picture.ndim == 3
  assert picture.shape[2] == 3


def config(**changes: object) -> ml_collections.ConfigDict:
  return ml_collections.ConfigDict({"model": {**MODEL, **changes}, "loss": {"ignore": 255}})


def test_build_takes_names_and_colours_from_the_data_set() -> None:
  task = build(config(), FACTS)
  assert task.class_names == ("sky", "road", "car")
  assert task.palette == ((0, 0, 0),) * 3
  assert task.upsample is Resize.BILINEAR
  shape = jax.ShapeDtypeStruct((1, 64, 64, 3), jnp.float32)
  init = functools.partial(task.model.init_with_output, train=False)
  assert jax.eval_shape(init, jax.random.key(0), shape)[0].shape == (1, 16, 16, 3)


def test_number_of_classes_has_to_fit_the_data_set() -> None:
  message = r"model\.num_classes is 19, but the data set has 3 class_names; set model\.num_classes"
  with pytest.raises(ValueError, match=message):
    build(config(num_classes=19), FACTS)


def test_number_of_weights_has_to_fit_the_classes() -> None:
  with pytest.raises(ValueError, match=r"loss\.class_weights has 2 values for 3 classes"):
    dataclasses.replace(TASK, class_weights=(1.0, 2.0))
