"""The classification task on a handful of logits."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import pytest

from hrnet_jax import registry
from hrnet_jax.data.dataset import DatasetInfo
from hrnet_jax.tasks.classification.loss import cross_entropy
from hrnet_jax.tasks.classification.task import Classification

NAMES = ("ant", "bee", "cow", "dog", "eel", "fox")
TASK = Classification(model=nn.Module(), num_classes=6, class_names=NAMES)
# Best first: 0 1 2 3 4 5, and the other way round.
RISING = jnp.array([[6.0, 5, 4, 3, 2, 1], [1, 2, 3, 4, 5, 6]])


def test_loss_is_the_smoothed_cross_entropy():
  labels = jnp.array([0, 2], jnp.int32)
  task = Classification(model=nn.Module(), num_classes=6, class_names=NAMES, label_smoothing=0.1)
  loss, scalars = task.loss(RISING, {"label": labels})
  np.testing.assert_allclose(loss, cross_entropy(RISING, labels, label_smoothing=0.1))
  assert scalars["top1"] == 0.5


def sums(logits, labels, mask):
  batch = {"label": jnp.array(labels, jnp.int32), "mask": jnp.array(mask)}
  return jax.jit(TASK.metric_sums)(logits, batch)


def test_sums_by_hand_leave_out_padded_examples():
  logits = jnp.concatenate([RISING, RISING])
  got = sums(logits, [0, 0, 4, 5], [True, True, True, False])
  assert got["right"].tolist() == [1, 0, 0, 0, 0, 0]
  assert got["support"].tolist() == [2, 0, 0, 0, 1, 0]
  assert got["top5"] == 2  # the second is in the sixth place
  want = jax.nn.logsumexp(RISING[0]) * 3 - (6 + 1 + 2)
  np.testing.assert_allclose(got["nll"], want, rtol=1e-6)


def test_sums_of_batches_add_up():
  rng = np.random.default_rng(0)
  logits = jnp.asarray(rng.standard_normal((8, 6)), jnp.float32)
  labels, mask = rng.integers(0, 6, 8), np.arange(8) < 7
  whole = sums(logits, labels, mask)
  parts = [sums(logits[k], labels[k], mask[k]) for k in (slice(3), slice(3, 8))]
  jax.tree.map(
    lambda a, b, c: np.testing.assert_allclose(a, b + c, rtol=1e-6), whole, parts[0], parts[1]
  )


TOTALS = {
  "right": np.array([3, 0, 1, 0, 0, 0]),
  "support": np.array([4, 2, 2, 0, 0, 0]),
  "top5": np.array(6),
  "nll": np.array(10.0),
}


def test_report_and_table_by_hand():
  report = TASK.report(TOTALS)
  assert report["top1"] == 0.5
  assert report["top5"] == 0.75
  assert report["loss"] == 1.25
  assert report["images"] == 8
  assert report["accuracy"] == {"ant": 0.75, "bee": 0, "cow": 0.5, "dog": 0, "eel": 0, "fox": 0}
  assert TASK.metric in report
  lines = [line.split() for line in TASK.table(report).splitlines()]
  assert lines[1] == ["ant", "75.00", "4"]
  assert lines[-4:] == [["top1", "50.00"], ["top5", "75.00"], ["loss", "1.2500"], ["images", "8"]]


def test_many_classes_have_no_rows_and_few_no_top5():
  many = Classification(model=nn.Module(), num_classes=101, class_names=("a",) * 101)
  totals = TOTALS | {key: np.resize(TOTALS[key], 101) for key in ("right", "support")}
  assert set(many.report(totals)) == {"top1", "top5", "loss", "images"}
  assert len(many.table(many.report(totals)).splitlines()) == 4
  few = Classification(model=nn.Module(), num_classes=2, class_names=("a", "b"))
  totals = TOTALS | {key: TOTALS[key][:2] for key in ("right", "support")}
  assert "top5" not in few.report(totals)
  assert "top5" not in few.table(few.report(totals))


def test_nothing_counted_is_no_error():
  report = TASK.report({key: np.zeros_like(value) for key, value in TOTALS.items()})
  assert report["top1"] == 0
  assert "0.00" in TASK.table(report)


def test_prediction_is_the_best_five():
  got = jax.jit(functools.partial(TASK.predict, size=(4, 4)))(RISING)
  assert got["classes"].tolist() == [[0, 1, 2, 3, 4], [5, 4, 3, 2, 1]]
  np.testing.assert_allclose(got["scores"][0], jax.nn.softmax(RISING[0])[:5], rtol=1e-6)


def test_picture_is_an_image():
  prediction = {"classes": np.array([1, 0]), "scores": np.array([0.9, 0.1], np.float32)}
  picture = TASK.picture(np.zeros((8, 8, 3), np.uint8), prediction, {"label": np.int32(0)})
  assert picture.dtype == np.uint8
  assert picture.shape[2] == 3


MODEL = {"task": "classification", "width": 4, "modules": (1, 1, 1), "blocks": 1}


def config(num_classes=6, **loss) -> ml_collections.ConfigDict:
  model = MODEL | {"num_classes": num_classes}
  return ml_collections.ConfigDict({"model": model, "loss": {"label_smoothing": 0.0} | loss})


def test_build():
  task = registry.build_task(config(label_smoothing=0.2), DatasetInfo(class_names=NAMES))
  assert task.label_smoothing == 0.2
  init = functools.partial(task.model.init_with_output, train=False)
  images = jax.ShapeDtypeStruct((2, 32, 32, 3), jnp.float32)
  assert jax.eval_shape(init, jax.random.key(0), images)[0].shape == (2, 6)


def test_wrong_values_are_explained():
  facts = DatasetInfo(class_names=NAMES)
  message = r"model\.num_classes is 1000, but the data set has 6 classes; set model\.num_classes"
  with pytest.raises(ValueError, match=message):
    registry.build_task(config(num_classes=1000), facts)
  with pytest.raises(ValueError, match=r"loss\.label_smoothing is 1\.0"):
    registry.build_task(config(label_smoothing=1.0), facts)
