"""Confusion matrices by hand, and those of the official code."""

import json
import pathlib

import jax.numpy as jnp
import numpy as np
import pytest

from hrnet_jax.ops.resize import resize
from hrnet_jax.tasks.segmentation.metrics import confusion_matrix, scores
from tests.golden import recipe

NAMES = [
  "nineteen",
  "absent_classes",
  "ignore_minus1",
  "stray_labels",
  "stray_255_when_ignore_is_minus1",
  "low_resolution_scores",
]
# rows: truth. Class 0: 3 of 4 right; class 1: 2 of 4; class 2: 1 of 2.
BY_HAND = [[3, 1, 0], [1, 2, 1], [0, 1, 1]]


def flat(values: list[int], dtype: str = "uint8") -> jnp.ndarray:
  return jnp.asarray(np.array(values, dtype).reshape(1, 1, -1))


def test_matrix_by_hand() -> None:
  truth = flat([0, 0, 0, 0, 1, 1, 1, 1, 2, 2])
  prediction = flat([0, 0, 0, 1, 0, 1, 1, 2, 1, 2])
  matrix = confusion_matrix(truth, prediction, 3, ignore=255)
  assert matrix.dtype == jnp.int32
  np.testing.assert_array_equal(matrix, BY_HAND)


def test_figures_by_hand() -> None:
  """Unions 4 + 4 - 3, 4 + 4 - 2 and 2 + 2 - 1; 6 of 10 pixels right."""
  s = scores(np.array(BY_HAND))
  np.testing.assert_allclose(s.iou, [3 / 5, 2 / 6, 1 / 3])
  np.testing.assert_allclose(s.mean_iou, (3 / 5 + 2 / 6 + 1 / 3) / 3)
  np.testing.assert_allclose(s.pixel_accuracy, 0.6)
  np.testing.assert_allclose(s.mean_accuracy, (3 / 4 + 2 / 4 + 1 / 2) / 3)
  np.testing.assert_array_equal(s.support, [4, 4, 2])


def test_class_that_occurs_nowhere_counts_as_zero() -> None:
  s = scores(np.array([[2, 0, 0], [0, 2, 0], [0, 0, 0]]))
  np.testing.assert_array_equal(s.iou, [1, 1, 0])
  assert s.mean_iou == s.mean_accuracy == 2 / 3
  assert s.pixel_accuracy == 1


def test_nothing_counted_is_zero_without_a_warning() -> None:
  s = scores(np.zeros((2, 2), np.int64))
  assert (s.mean_iou, s.pixel_accuracy, s.mean_accuracy) == (0, 0, 0)


def test_sums_beyond_32_bits_are_exact() -> None:
  s = scores(np.array([[2**40 + 1, 0], [0, 2**40]]))
  np.testing.assert_array_equal(s.support, [2**40 + 1, 2**40])


def test_padding_and_ignored_labels_are_in_no_cell() -> None:
  """A padded example, all ignored, adds nothing, whatever was predicted on it."""
  truth = jnp.stack([flat([0, 1, 255])[0], flat([255, 255, 255])[0]])
  prediction = jnp.stack([flat([0, 0, 1])[0], flat([1, 0, 1])[0]])
  matrix = confusion_matrix(truth, prediction, 2, ignore=255)
  np.testing.assert_array_equal(matrix, [[1, 0], [1, 0]])


def test_stray_labels_are_in_no_cell() -> None:
  """3, 200, 255 and -2 are no classes; none may wrap into another row."""
  truth = flat([0, 1, 2, 3, 200, 255, -1, -2], "int16")
  prediction = flat([0, 1, 2, 0, 1, 2, 0, 1])
  matrix = confusion_matrix(truth, prediction, 3, ignore=-1)
  np.testing.assert_array_equal(matrix, np.eye(3))


def test_bytes_do_not_overflow() -> None:
  """Class 200 of 201 is cell 40400, far beyond a byte."""
  matrix = np.asarray(confusion_matrix(flat([200, 200]), flat([200, 3]), 201, ignore=255))
  assert {tuple(i) for i in np.argwhere(matrix)} == {(200, 200), (200, 3)}


@pytest.fixture(scope="module")
def fixture(golden: pathlib.Path) -> dict:
  with np.load(golden / "segmentation_metrics" / "cases.npz") as file:
    return {"cases": json.loads(str(file["meta"]))["cases"], **file}


def test_all_cases_are_here(fixture: dict) -> None:
  assert list(fixture["cases"]) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_equals_the_official_figures(fixture: dict, name: str) -> None:
  case = fixture["cases"][name]
  keys = ("shape", "num_classes", "seed", "ignore_label", "absent", "stray")
  class_scores, labels = recipe.metric_inputs(*(case[k] for k in keys))
  np.testing.assert_array_equal(labels, fixture[f"{name}.labels"])
  if stride := case["low_resolution_scores"]:
    low = jnp.asarray(class_scores[:, ::stride, ::stride])
    class_scores = resize(low, labels.shape[1:], "bilinear")
  prediction = jnp.argmax(jnp.asarray(class_scores), axis=-1)
  np.testing.assert_array_equal(prediction, fixture[f"{name}.prediction"])
  matrix = confusion_matrix(
    jnp.asarray(labels), prediction, case["num_classes"], case["ignore_label"]
  )
  np.testing.assert_array_equal(matrix, fixture[f"{name}.confusion"])
  assert matrix.sum() == case["pixels_counted"]
  s = scores(matrix)
  np.testing.assert_allclose(s.iou, fixture[f"{name}.iou"], rtol=1e-12)
  figures = (s.mean_iou, s.pixel_accuracy, s.mean_accuracy)
  expected = (case["mean_iou"], case["pixel_acc"], case["mean_acc"])
  np.testing.assert_allclose(figures, expected, rtol=1e-12)
