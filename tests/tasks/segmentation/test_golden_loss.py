"""Losses against the official criterion's values and gradients."""

from collections.abc import Callable
import json
import pathlib

import jax
import numpy as np
import pytest

from hrnet_jax.ops.resize import resize
from hrnet_jax.tasks.segmentation.loss import (
  HardExamples,
  cross_entropy,
  dense_cross_entropy,
  hard_cross_entropy,
)
from tests.golden import recipe

pytestmark = pytest.mark.optimised

SEG = [
  "ce_weighted", "ce_unweighted", "ce_same_size", "ce_odd_size", "ce_ignore_minus1", "ohem_07_100",
  "ohem_09_131072", "ohem_001_2000", "ohem_001_1", "ohem_02_0", "ohem_unweighted_same_size",
  "ohem_sure_scores", "ohem_ignore_minus1",
]  # fmt: skip
OCR = [
  "ocr_ce", "ocr_ohem", "ocr_ohem_300", "ocr_ce_11", "single_ce_align_corners",
  "single_ohem_align_corners",
]  # fmt: skip
NAMES = [*SEG, *OCR]


def make_loss(case: dict, labels: np.ndarray) -> Callable:
  """The loss of a fixture as a function of its score maps, of which the last is the main one."""
  method = "bilinear_aligned" if case["align_corners"] else "bilinear"
  options = {
    "ignore": case["ignore_label"],
    "class_weights": recipe.CITYSCAPES_WEIGHTS if case["class_weights"] else None,
  }

  def loss(scores: list[jax.Array]) -> jax.Array:
    *others, main = (resize(x, labels.shape[1:], method) for x in scores)
    weights = case.get("balance_weights", [1])
    if case["kind"] == "cross_entropy":
      losses = [cross_entropy(x, labels, **options) for x in (*others, main)]
    else:
      hard = HardExamples(threshold=case["thres"], min_kept=case["min_kept"])
      losses = [dense_cross_entropy(x, labels, **options) for x in others]
      losses.append(hard_cross_entropy(main, labels, hard, **options))
    return sum(w * x for w, x in zip(weights, losses, strict=True))

  return loss


def evaluate(case: dict, dtype: str) -> tuple[float, list[np.ndarray]]:
  """Loss and gradients of one fixture, with the scores enlarged to the labels."""
  gain = case["score_gain"]
  scores = [recipe.scores(case["score_shape"], seed, gain) for seed in case["score_seeds"]]
  labels = recipe.labels(
    case["label_shape"],
    case["num_classes"],
    case["label_seed"],
    case["ignore_label"],
    case["label_block"],
  )
  assert [recipe.crc32(x) for x in scores] == case["scores_crc32"]
  assert recipe.crc32(labels) == case["labels_crc32"]
  arguments = [x.astype(dtype) for x in scores]
  function = jax.value_and_grad(make_loss(case, labels))
  options = {"xla_backend_optimization_level": 0}  # compiling takes longer than computing
  value, gradients = jax.jit(function, compiler_options=options)(arguments)
  assert {x.dtype for x in (value, *gradients)} == {np.dtype(dtype)}
  return float(value), [np.asarray(x) for x in gradients]


@pytest.fixture(scope="module")
def fixture(golden: pathlib.Path) -> dict:
  merged: dict = {"cases": {}}
  for name in ("seg_losses", "ocr_losses"):
    with np.load(golden / "losses" / f"{name}.npz") as file:
      merged["cases"] |= json.loads(str(file["meta"]))["cases"]
      merged |= {key: file[key] for key in file if key != "meta"}
  return merged


def test_all_cases_are_here(fixture: dict) -> None:
  assert list(fixture["cases"]) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_float64_is_the_official_criterion(fixture: dict, name: str) -> None:
  case = fixture["cases"][name]
  with jax.enable_x64(True):
    loss, gradients = evaluate(case, "float64")
  direction = recipe.scores(case["score_shape"], 999, 1.0)
  np.testing.assert_allclose(loss, case["loss_float64"], rtol=1e-12)
  for k, gradient in enumerate(gradients):
    np.testing.assert_allclose(np.linalg.norm(gradient), case["grad_norm"][k], rtol=1e-10)
    np.testing.assert_allclose((gradient * direction).sum(), case["grad_dot"][k], rtol=1e-10)
    assert np.any(gradient, axis=-1).sum() == case["grad_nonzero_pixels"][k]
    if f"{name}.grad" in fixture:
      np.testing.assert_allclose(gradient, fixture[f"{name}.grad"][k], rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_float32_is_off_by_rounding_only(fixture: dict, name: str) -> None:
  case = fixture["cases"][name]
  loss, gradients = evaluate(case, "float32")
  direction = recipe.scores(case["score_shape"], 999, 1.0)
  np.testing.assert_allclose(loss, case["loss_float64"], rtol=1e-6)
  for k, gradient in enumerate(gradients):
    norm = case["grad_norm"][k]
    np.testing.assert_allclose(np.linalg.norm(gradient), norm, rtol=1e-5)
    allowed = 1e-6 * np.linalg.norm(direction) * norm
    np.testing.assert_allclose((gradient * direction).sum(), case["grad_dot"][k], atol=allowed)


# Values of the official criterion for other scores: [not aligned, aligned] of (weighted, plain).
MEASURED = {
  "ce": ((4.713363, 4.712282), (4.590056, 4.591425)),
  (0.9, 131072): ((4.696167, 4.714218), (4.573308, 4.593309)),
  (0.05, 100): ((5.512005, 5.537154), (5.382163, 5.408670)),
  (0.001, 1000): ((6.807811, 6.827984), None),
}


@pytest.fixture(scope="module")
def measured_inputs() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  """Main and auxiliary scores `(2, 8, 12, 19)` and labels `(2, 32, 48)`, 639 of them ignored."""
  r = np.random.RandomState(7)
  main, auxiliary = (
    (3 * r.standard_normal((2, 19, 8, 12))).astype(np.float32).transpose(0, 2, 3, 1)
    for _ in range(2)
  )
  labels = r.randint(0, 19, (2, 32, 48))
  labels[r.random_sample((2, 32, 48)) < 0.2] = 255
  assert (labels == 255).sum() == 639
  return main, auxiliary, labels


@pytest.mark.parametrize("rule", MEASURED, ids=str)
@pytest.mark.parametrize("aligned", [False, True])
def test_measured_values(measured_inputs: tuple, rule: object, aligned: bool) -> None:
  main, _, labels = measured_inputs
  case = {"align_corners": aligned, "ignore_label": 255, "kind": "cross_entropy"}
  if rule != "ce":
    case |= {"kind": "ohem", "thres": rule[0], "min_kept": rule[1]}
  for weights, value in zip(("Cityscapes", None), MEASURED[rule][aligned] or (), strict=False):
    assert_value(make_loss(case | {"class_weights": weights}, labels), [main], value)


@pytest.mark.parametrize(
  ("aligned", "plain", "mined"), [(False, 6.597211, 6.205322), (True, 6.420961, 6.042466)]
)
def test_measured_values_of_two_outputs(
  measured_inputs: tuple, aligned: bool, plain: float, mined: float
) -> None:
  main, auxiliary, labels = measured_inputs
  case = {"align_corners": aligned, "ignore_label": 255, "balance_weights": [0.4, 1]}
  loss = make_loss(case | {"kind": "cross_entropy", "class_weights": "Cityscapes"}, labels)
  assert_value(loss, [auxiliary, main], plain)
  rule = {"kind": "ohem", "class_weights": None, "thres": 0.9, "min_kept": 131072}
  assert_value(make_loss(case | rule, labels), [auxiliary, main], mined)


def assert_value(loss: Callable, scores: list[np.ndarray], value: float) -> None:
  """Equal to all digits that are known of the value."""
  with jax.enable_x64(True):
    np.testing.assert_allclose(loss([x.astype("float64") for x in scores]), value, atol=1e-6)
