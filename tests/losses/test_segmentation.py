"""Cross entropy by hand, and against the official criterion's values and gradients."""

import json
import math
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hrnet_jax.losses.segmentation import cross_entropy, pixel_nll
from hrnet_jax.ops.resize import resize
from tests.golden import recipe

NAMES = ["ce_weighted", "ce_unweighted", "ce_same_size", "ce_odd_size", "ce_ignore_minus1"]


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


def test_pixel_nll_of_a_label_outside_the_classes_is_the_normaliser() -> None:
  nll = pixel_nll(pixels([0, 0], [0, 0]), jnp.array([[[0, 255]]], jnp.uint8))
  np.testing.assert_allclose(nll.ravel(), [math.log(2)] * 2, rtol=1e-6)
  nll = pixel_nll(pixels([3, 3]), jnp.array([[[-1]]]))
  np.testing.assert_allclose(nll.ravel(), [3 + math.log(2)], rtol=1e-6)


def evaluate(case: dict, dtype: str) -> tuple[float, np.ndarray]:
  """Loss and gradient of one fixture, with the scores enlarged to the labels."""
  scores = recipe.scores(case["score_shape"], case["score_seeds"][0], case["score_gain"])
  labels = recipe.labels(
    case["label_shape"],
    case["num_classes"],
    case["label_seed"],
    case["ignore_label"],
    case["label_block"],
  )
  assert recipe.crc32(scores) == case["scores_crc32"][0]
  assert recipe.crc32(labels) == case["labels_crc32"]
  weights = recipe.CITYSCAPES_WEIGHTS if case["class_weights"] else None

  def loss(scores: jax.Array) -> jax.Array:
    full = resize(scores, labels.shape[1:], "bilinear")
    return cross_entropy(full, labels, ignore=case["ignore_label"], class_weights=weights)

  value, gradient = jax.jit(jax.value_and_grad(loss))(scores.astype(dtype))
  assert value.dtype == gradient.dtype == dtype
  return float(value), np.asarray(gradient)


@pytest.fixture(scope="module")
def fixture(golden: pathlib.Path) -> dict:
  with np.load(golden / "losses" / "seg_losses.npz") as file:
    return {"cases": json.loads(str(file["meta"]))["cases"], **file}


def test_all_plain_cases_are_here(fixture: dict) -> None:
  cases = fixture["cases"]
  assert [k for k, v in cases.items() if v["kind"] == "cross_entropy"] == NAMES
  assert not any(cases[name]["align_corners"] for name in NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_float64_is_the_official_criterion(fixture: dict, name: str) -> None:
  case = fixture["cases"][name]
  with jax.enable_x64(True):
    loss, gradient = evaluate(case, "float64")
  direction = recipe.scores(case["score_shape"], 999, 1.0)
  np.testing.assert_allclose(loss, case["loss_float64"], rtol=1e-12)
  np.testing.assert_allclose(np.linalg.norm(gradient), case["grad_norm"][0], rtol=1e-10)
  np.testing.assert_allclose((gradient * direction).sum(), case["grad_dot"][0], rtol=1e-10)
  assert np.any(gradient, axis=-1).sum() == case["grad_nonzero_pixels"][0]
  if f"{name}.grad" in fixture:
    np.testing.assert_allclose(gradient, fixture[f"{name}.grad"][0], rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_float32_is_off_by_rounding_only(fixture: dict, name: str) -> None:
  case = fixture["cases"][name]
  loss, gradient = evaluate(case, "float32")
  direction = recipe.scores(case["score_shape"], 999, 1.0)
  np.testing.assert_allclose(loss, case["loss_float64"], rtol=1e-6)
  np.testing.assert_allclose(np.linalg.norm(gradient), case["grad_norm"][0], rtol=1e-5)
  allowed = 1e-6 * np.linalg.norm(direction) * case["grad_norm"][0]
  np.testing.assert_allclose((gradient * direction).sum(), case["grad_dot"][0], atol=allowed)
