"""Losses by hand: weights, ignored pixels, hard examples and the order statistic behind them."""

import math

from hypothesis import given, settings
from hypothesis import strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hrnet_jax.ops.log_loss import log_loss
from hrnet_jax.tasks.segmentation.loss import (
  HardExamples,
  cross_entropy,
  dense_cross_entropy,
  hard_cross_entropy,
  kth_smallest,
  total_weight,
)
from tests.golden import recipe


def value_and_gradient(logits: jax.Array, labels: jax.Array, **options: object) -> tuple:
  return jax.jit(jax.value_and_grad(lambda x: cross_entropy(x, labels, **options)))(logits)


def pixels(*rows: list[float]) -> jnp.ndarray:
  """One row of pixels, `(1, 1, W, K)`."""
  return jnp.array(rows, jnp.float32)[None, None]


def test_uniform_scores_cost_the_logarithm_of_the_classes() -> None:
  loss = cross_entropy(jnp.zeros((1, 2, 3, 7)), jnp.ones((1, 2, 3), jnp.uint8), ignore=255)
  np.testing.assert_allclose(loss, math.log(7), rtol=1e-6)


def test_weighted_mean_by_hand() -> None:
  """Probabilities 3/4 and 1/4 of the truth, weights 1 and 3: (ln(4/3) + 3 ln 4) / 4."""
  logits, labels = pixels([0, math.log(3)], [0, math.log(3)]), jnp.array([[[1, 0]]], jnp.uint8)
  loss = cross_entropy(logits, labels, ignore=255, class_weights=(3, 1))
  np.testing.assert_allclose(loss, (math.log(4 / 3) + 3 * math.log(4)) / 4, rtol=1e-6)
  loss = cross_entropy(logits, labels, ignore=255)
  np.testing.assert_allclose(loss, (math.log(4 / 3) + math.log(4)) / 2, rtol=1e-6)


def test_ignored_pixels_do_not_count() -> None:
  logits, labels = pixels([0, 1], [5, -3], [2, 2]), jnp.array([[[1, 255, 0]]], jnp.uint8)
  for weights in (None, (3, 1)):
    loss, gradient = value_and_gradient(logits, labels, ignore=255, class_weights=weights)
    alone = cross_entropy(logits[:, :, ::2], labels[:, :, ::2], ignore=255, class_weights=weights)
    np.testing.assert_allclose(loss, alone, rtol=1e-6)
    np.testing.assert_array_equal(gradient[0, 0, 1], 0)
    assert (gradient[0, 0, ::2] != 0).all()


@pytest.mark.parametrize(("weights", "total"), [(None, 3), ((3, 0.5), 4)])
def test_losses_of_parts_are_joined_by_their_weights(weights: tuple | None, total: float) -> None:
  """Pixels of class 1, 0 and 1, and one that is ignored, in two images."""
  logits = jnp.asarray(recipe.scores((2, 1, 2, 2), seed=0))
  labels = jnp.array([[[1, 255]], [[0, 1]]], jnp.uint8)
  options = {"ignore": 255, "class_weights": weights}
  assert total_weight(labels, **options) == total
  parts = sum(
    cross_entropy(logits[k : k + 1], labels[k : k + 1], **options)
    * total_weight(labels[k : k + 1], **options)
    for k in range(2)
  )
  np.testing.assert_allclose(parts / total, cross_entropy(logits, labels, **options), rtol=1e-6)


@pytest.mark.parametrize("weights", [None, (1.0, 2.0, 3.0)])
def test_nothing_to_count_is_zero_with_zero_gradient(weights: tuple | None) -> None:
  logits = jnp.asarray(recipe.scores((2, 3, 4, 3), seed=0))
  labels = jnp.full((2, 3, 4), 255, jnp.uint8)
  loss, gradient = value_and_gradient(logits, labels, ignore=255, class_weights=weights)
  assert loss == 0
  np.testing.assert_array_equal(gradient, 0)


def test_huge_scores_stay_finite() -> None:
  logits, labels = pixels([1e4, -1e4], [1e4, -1e4]), jnp.array([[[0, 1]]])
  loss, gradient = value_and_gradient(logits, labels, ignore=255)
  np.testing.assert_allclose(loss, 1e4)  # (0 + 2e4) / 2
  np.testing.assert_allclose(gradient.ravel(), [0, 0, 0.5, -0.5])


def test_log_loss_of_a_label_outside_the_classes_is_the_normaliser() -> None:
  nll = log_loss(pixels([0, 0], [0, 0]), jnp.array([[[0, 255]]], jnp.uint8))
  np.testing.assert_allclose(nll.ravel(), [math.log(2)] * 2, rtol=1e-6)
  nll = log_loss(pixels([3, 3]), jnp.array([[[-1]]]))
  np.testing.assert_allclose(nll.ravel(), [3 + math.log(2)], rtol=1e-6)


def test_dense_mean_divides_by_all_pixels() -> None:
  """Probabilities 3/4 and 1/4, weights 1 and 3, and an ignored pixel that counts in the divisor."""
  logits = pixels([0, math.log(3)], [0, math.log(3)], [5, 5])
  labels = jnp.array([[[1, 0, 255]]], jnp.uint8)
  loss = dense_cross_entropy(logits, labels, ignore=255, class_weights=(3, 1))
  np.testing.assert_allclose(loss, (math.log(4 / 3) + 3 * math.log(4)) / 3, rtol=1e-6)


def of_probabilities(*q: float) -> tuple[jnp.ndarray, jnp.ndarray]:
  """Logits of two classes and labels, where the true class has these probabilities."""
  rows = [[math.log(x / (1 - x)), 0.0] for x in q]
  return pixels(*rows), jnp.zeros((1, 1, len(q)), jnp.uint8)


def mean_nll(*q: float) -> float:
  return float(np.mean([-math.log(x) for x in q]))


@pytest.mark.parametrize(
  ("threshold", "min_kept", "kept"),
  [
    (0.5, 1, (0.1, 0.2, 0.4)),  # those below the threshold
    (0.5, 4, (0.1, 0.2, 0.4, 0.6)),  # the four hardest, for fewer are below the threshold
    (0.05, 0, (0.1,)),  # at least one
    (0.5, 5, (0.1, 0.2, 0.4, 0.6, 0.8)),
    (0.5, 100, (0.1, 0.2, 0.4, 0.6, 0.8)),  # the easiest is left out even then
    (0.99, 100, (0.1, 0.2, 0.4, 0.6, 0.8, 0.95)),  # unless it is below the threshold
  ],
)
def test_hard_pixels_by_hand(threshold: float, min_kept: int, kept: tuple) -> None:
  logits, labels = of_probabilities(0.8, 0.1, 0.6, 0.2, 0.95, 0.4)
  hard = HardExamples(threshold=threshold, min_kept=min_kept)
  loss, gradient = hard_value_and_gradient(logits, labels, hard)
  np.testing.assert_allclose(loss, mean_nll(*kept), rtol=1e-5)
  assert np.any(gradient, axis=-1).sum() == len(kept)


def hard_value_and_gradient(
  logits: jax.Array, labels: jax.Array, hard: HardExamples, **options: object
) -> tuple:
  options = {"ignore": 255} | options
  return jax.jit(jax.value_and_grad(lambda x: hard_cross_entropy(x, labels, hard, **options)))(
    logits
  )


def test_the_mean_of_hard_pixels_is_not_divided_by_their_weights() -> None:
  logits, labels = of_probabilities(0.1, 0.2, 0.9)
  hard = HardExamples(threshold=0.5, min_kept=1)
  loss, _ = hard_value_and_gradient(logits, labels, hard, class_weights=(3.0, 1.0))
  np.testing.assert_allclose(loss, 3 * mean_nll(0.1, 0.2), rtol=1e-5)


def test_ignored_pixels_are_neither_kept_nor_counted() -> None:
  logits, labels = of_probabilities(0.01, 0.3, 0.6, 0.7, 0.02)
  labels = labels.at[0, 0, jnp.array([0, 4])].set(255)
  loss, gradient = hard_value_and_gradient(logits, labels, HardExamples(threshold=0.1, min_kept=2))
  np.testing.assert_allclose(loss, mean_nll(0.3, 0.6), rtol=1e-5)
  np.testing.assert_array_equal(np.any(gradient, axis=-1).ravel(), [0, 1, 1, 0, 0])


def test_each_group_of_images_selects_on_its_own() -> None:
  logits, labels = of_probabilities(0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
  logits, labels = logits.reshape(4, 1, 2, 2), labels.reshape(4, 1, 2)
  loss, _ = hard_value_and_gradient(logits, labels, HardExamples(threshold=0.01, min_kept=2))
  np.testing.assert_allclose(loss, mean_nll(0.1, 0.2), rtol=1e-5)
  pairs = HardExamples(threshold=0.01, min_kept=2, num_groups=2)
  loss, _ = hard_value_and_gradient(logits, labels, pairs)
  expected = (mean_nll(0.1, 0.2) + mean_nll(0.5, 0.6)) / 2
  np.testing.assert_allclose(loss, expected, rtol=1e-5)
  # A group without labels has the loss zero, and the others do not notice.
  loss, gradient = hard_value_and_gradient(logits, labels.at[:2].set(255), pairs)
  np.testing.assert_allclose(loss, mean_nll(0.5, 0.6) / 2, rtol=1e-5)
  assert np.isfinite(gradient).all()


def test_groups_have_to_divide_the_batch() -> None:
  logits, labels = of_probabilities(0.5, 0.5)
  with pytest.raises(ValueError, match=r"groups is 2, but 1 images .*train.batch_size"):
    hard_value_and_gradient(logits, labels, HardExamples(threshold=0.5, min_kept=1, num_groups=2))


@pytest.mark.parametrize("q", [0.95, None], ids=["one easy pixel", "none at all"])
def test_nothing_kept_is_zero_with_zero_gradient(q: float | None) -> None:
  logits, labels = of_probabilities(q or 0.5)
  labels = labels if q else jnp.full_like(labels, 255)
  loss, gradient = hard_value_and_gradient(logits, labels, HardExamples(threshold=0.9, min_kept=5))
  assert loss == 0
  np.testing.assert_array_equal(gradient, 0)


@pytest.mark.parametrize("min_kept", [1, 100])
def test_scores_that_are_not_numbers_show_in_the_loss(min_kept: int) -> None:
  logits, labels = of_probabilities(0.1, 0.2, 0.95)
  hard = HardExamples(threshold=0.5, min_kept=min_kept)
  loss, _ = hard_value_and_gradient(logits.at[0, 0, 1].set(jnp.nan), labels, hard)
  assert np.isnan(loss)


@pytest.mark.parametrize(
  ("options", "message"),
  [
    ({"threshold": 0.0}, r"loss\.ohem\.threshold is 0\.0"),
    ({"threshold": 1.5}, r"loss\.ohem\.threshold is 1\.5"),
    ({"min_kept": -1}, r"min_kept is -1"),
    ({"num_groups": 0}, r"num_groups is 0"),
  ],
)
def test_rules_that_make_no_sense_are_refused(options: dict, message: str) -> None:
  with pytest.raises(ValueError, match=message):
    HardExamples(**{"threshold": 0.9, "min_kept": 10} | options)


FLOATS = st.floats(0, allow_nan=False, width=32) | st.sampled_from([0.0, 0.5, 1.0, math.inf, 1e-45])


@settings(deadline=None, max_examples=40, database=None)
@given(st.lists(st.lists(FLOATS, min_size=6, max_size=6), min_size=2, max_size=2), st.data())
def test_the_order_statistic_is_that_of_a_sort(rows: list, data: st.DataObject) -> None:
  values = np.asarray(rows, np.float32)
  position = np.asarray([data.draw(st.integers(0, 5)) for _ in rows])
  found = jax.jit(kth_smallest)(values.reshape(2, 3, 2), position)
  np.testing.assert_array_equal(found, np.sort(values)[[0, 1], position])


def test_the_order_statistic_of_many_and_in_float64() -> None:
  values = np.random.default_rng(0).random((3, 40_000)) ** 4
  position = np.array([0, 20_000, 39_999])
  for dtype in ("float32", "float64"):
    with jax.enable_x64(dtype == "float64"):
      found = jax.jit(kth_smallest)(values.astype(dtype), position)
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, np.sort(values.astype(dtype))[range(3), position])
