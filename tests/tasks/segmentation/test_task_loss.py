"""What `config.loss` makes of the segmentation task, and hard examples on several devices."""

import dataclasses

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import pytest

from hrnet_jax.data.dataset import DatasetInfo
from hrnet_jax.distributed import sharding
from hrnet_jax.ops.resize import resize
from hrnet_jax.tasks.segmentation.loss import (
  HardExamples,
  cross_entropy,
  dense_cross_entropy,
  hard_cross_entropy,
)
from hrnet_jax.tasks.segmentation.task import Segmentation, build
from tests.helpers import toy
from tests.helpers.marks import slow_but

FACTS = DatasetInfo(
  class_names=("sky", "road", "car"), palette=((0, 0, 0),) * 3, class_weights=(1.0, 0.5, 2.0)
)
OHEM = {"threshold": 0.4, "min_kept": 20}
OCR = {"head": "ocr", "upsample": "bilinear_aligned"}


def make(facts: object = FACTS, model: dict | None = None, **loss: object) -> Segmentation:
  model = toy.MODEL | (model or {})
  return build(ml_collections.ConfigDict({"model": model, "loss": {"ignore": 255} | loss}), facts)


def outputs_and_labels(count: int) -> tuple:
  rng = np.random.default_rng(0)
  logits = [jnp.asarray(2 * rng.standard_normal((2, 8, 12, 3)), jnp.float32) for _ in range(count)]
  labels = jnp.asarray(rng.choice([0, 1, 2, 255], (2, 32, 48)), jnp.uint8)
  return tuple(logits), labels


def enlarged(logits: tuple) -> list[jax.Array]:
  return [resize(x, (32, 48), "bilinear_aligned") for x in logits]


def test_two_outputs_are_balanced_and_logged() -> None:
  task = make(model=OCR, aux_weights=(0.4, 1.0), class_weights=(1.0, 0.5, 2.0))
  logits, labels = outputs_and_labels(2)
  options = {"ignore": 255, "class_weights": (1.0, 0.5, 2.0)}
  expected = [cross_entropy(x, labels, **options) for x in enlarged(logits)]
  loss, scalars = task.loss(logits, {"label": labels})
  np.testing.assert_allclose(loss, 0.4 * expected[0] + expected[1], rtol=1e-6)
  np.testing.assert_allclose([scalars["loss_0"], scalars["loss_1"]], expected, rtol=1e-6)


def test_hard_examples_leave_the_auxiliary_output_a_mean_over_all_pixels() -> None:
  task = make(model=OCR, aux_weights=(0.4, 1.0), ohem=OHEM | {"num_groups": 2})
  assert task.hard == HardExamples(threshold=0.4, min_kept=20, num_groups=2)
  logits, labels = outputs_and_labels(2)
  auxiliary, main = enlarged(logits)
  expected = 0.4 * dense_cross_entropy(auxiliary, labels, ignore=255)
  expected += hard_cross_entropy(main, labels, task.hard, ignore=255)
  np.testing.assert_allclose(task.loss(logits, {"label": labels})[0], expected, rtol=1e-6)


def test_an_empty_block_is_no_mining() -> None:
  assert make(ohem={}) == make()
  with pytest.raises(TypeError, match="treshold"):
    make(ohem={"treshold": 0.9})


def test_weights_of_the_data_set() -> None:
  assert make(class_weights="dataset").class_weights == (1.0, 0.5, 2.0)
  assert make().class_weights == ()
  with pytest.raises(ValueError, match=r"loss\.class_weights is 'datasets', expected 'dataset'"):
    make(class_weights="datasets")


def test_a_data_set_without_weights_fails_in_training_but_not_in_prediction() -> None:
  for facts in (
    DatasetInfo(class_names=FACTS.class_names, palette=FACTS.palette),
    DatasetInfo(class_names=FACTS.class_names, palette=FACTS.palette, class_weights=()),
  ):
    task = make(facts, class_weights="dataset")
    (logits,), labels = outputs_and_labels(1)
    assert task.predict(logits, (32, 48)).shape == (2, 32, 48)
    with pytest.raises(ValueError, match=r"this data set has no published weights; give 3 numbers"):
      task.loss(logits, {"label": labels})


@pytest.mark.parametrize("groups", slow_but([1, 2, 4], 2))
def test_selection_does_not_depend_on_the_devices(groups: int) -> None:
  """In float64, in which no rounding moves a pixel over the limit."""
  hard = HardExamples(threshold=0.3, min_kept=4000, num_groups=groups)
  task = dataclasses.replace(make(), hard=hard)
  rng = np.random.default_rng(0)
  batch = {
    "logits": 2 * rng.standard_normal((8, 16, 12, 3)),
    "label": rng.choice([0, 1, 2, 255], (8, 64, 48)).astype(np.uint8),
  }
  batch["label"][:2] = 255  # the first of four groups has nothing to select

  @jax.jit
  @jax.value_and_grad
  def loss(logits: jax.Array, label: jax.Array) -> jax.Array:
    return task.loss(logits, {"label": label})[0]

  with jax.enable_x64(True):
    expected, gradient = loss(batch["logits"], batch["label"])
    assert gradient.dtype == np.float64
    for shape in ((8, 1), (4, 2)):
      mesh = toy.make_mesh(*shape)
      where = sharding.batch_shardings(mesh, batch | {"image": batch["logits"]})
      there = loss(*(jax.device_put(x, where[name]) for name, x in batch.items()))
      np.testing.assert_allclose(there[0], expected, rtol=1e-12)
      np.testing.assert_allclose(there[1], gradient, rtol=1e-9, atol=1e-15)
