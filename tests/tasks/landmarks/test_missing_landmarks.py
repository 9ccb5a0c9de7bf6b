"""Missing landmarks have no part in targets, loss, scores or pictures, whatever stands there."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hrnet_jax.ops import targets
from hrnet_jax.tasks.landmarks import metrics
from hrnet_jax.tasks.landmarks.loss import mean_squared_error
from hrnet_jax.tasks.landmarks.pictures import landmarks_panel
from hrnet_jax.tasks.landmarks.transforms import (
  MISSING,
  LandmarksDecisions,
  LandmarksEvalTransform,
  LandmarksTrainTransform,
  read,
)
from tests.tasks.landmarks.test_task import TASK, batch, drawn

PAIRS = ((0, 1), (3, 4))
NAN = np.nan
GARBAGE = (NAN, np.inf, -1.0, 1e30)


def record(annotated=None, garbage=NAN):
  """Noise with five landmarks."""
  rng = np.random.default_rng(0)
  points = rng.uniform(20, 100, (5, 2))
  values = {} if annotated is None else {"annotated": np.array(annotated)}
  if annotated is not None:
    points[~np.array(annotated)] = garbage
  image = rng.integers(0, 256, (120, 130, 3), np.uint8)
  placed = {"center": np.array([60.5, 61]), "scale": 0.4, "box_size": 80.0}
  return {"image": image, "name": "a.jpg", "points": points} | placed | values


@pytest.mark.parametrize("crop", ["affine", "reference"])
@pytest.mark.parametrize("garbage", GARBAGE)
def test_the_others_are_where_they_would_be(crop, garbage):
  annotated = [True, False, True, True, False]
  transform = LandmarksTrainTransform(crop=crop, crop_size=64, flip_pairs=PAIRS)
  for decisions, partners in (
    (LandmarksDecisions(1.1, 20, False), [0, 1, 2, 3, 4]),
    (LandmarksDecisions(0.9, -20, True), [1, 0, 2, 4, 3]),
  ):
    whole = transform.apply(read(record()), decisions)
    lacking = transform.apply(read(record(annotated, garbage)), decisions)
    there = np.array(annotated)[partners]
    np.testing.assert_array_equal(lacking["image"], whole["image"])
    np.testing.assert_array_equal(lacking["annotated"], there)
    np.testing.assert_array_equal(lacking["heatmap_points"][there], whole["heatmap_points"][there])
    assert (lacking["heatmap_points"][~there] == MISSING).all()
    assert "annotated" not in whole


@pytest.mark.parametrize("crop", ["affine", "reference"])
def test_evaluation_has_no_place_for_them(crop):
  transform = LandmarksEvalTransform(crop=crop, crop_size=64)
  example = transform.map(record([True, True, False, True, True], garbage=7))
  assert np.isnan(example["points"]).tolist() == [
    [x, x] for x in (False, False, True, False, False)
  ]
  assert example["annotated"].tolist() == [True, True, False, True, True]
  assert example["box_size"] == 80


def test_a_record_may_lack_some_but_not_all():
  with pytest.raises(ValueError, match=r"a\.jpg: no landmark is annotated; leave the record out"):
    read(record([False] * 5))
  bare = record([True, True, True, True, False])
  del bare["annotated"]  # without it nobody says that NaN is meant
  with pytest.raises(ValueError, match=r"a\.jpg: center .* and the points must be finite numbers"):
    read(bare)


@pytest.mark.parametrize("draw", [targets.gaussian_targets, targets.rounded_targets])
def test_garbage_changes_no_bit_of_loss_and_gradient(draw):
  rng = np.random.default_rng(0)
  outputs = jnp.asarray(rng.standard_normal((3, 8, 8, 5)), jnp.float32)
  points = rng.integers(0, 8, (3, 5, 2)).astype(np.float32)
  annotated = np.array([[1, 0, 1, 1, 1], [1, 1, 1, 1, 1], [0, 0, 0, 1, 0]], bool)

  @jax.jit
  @jax.value_and_grad
  def loss(outputs, points):
    return mean_squared_error(outputs, draw(points, (8, 8), 1.5), annotated=annotated)

  found = [
    loss(outputs, jnp.where(annotated[..., None], points, x)) for x in (*GARBAGE, MISSING, 3.0)
  ]
  value, gradient = found[0]
  for other_value, other_gradient in found[1:]:
    assert other_value == value
    np.testing.assert_array_equal(other_gradient, gradient)
  assert (np.asarray(gradient).any((1, 2)) == annotated).all()
  # By hand: the sum over the maps that count, by the number of all cells.
  errors = np.square(np.asarray(outputs - draw(jnp.asarray(points), (8, 8), 1.5)))
  assert float(value) == pytest.approx((errors.sum((1, 2)) * annotated).sum() / (3 * 64 * 5))
  whole = jax.grad(mean_squared_error)(outputs, draw(jnp.asarray(points), (8, 8), 1.5))
  np.testing.assert_allclose(
    gradient, np.where(annotated[:, None, None], whole, 0), rtol=1e-5, atol=1e-9
  )


def test_errors_are_those_of_the_landmarks_that_are_there():
  truth = np.array([[[0, 0], [2, 0], [3, 0], [6, 8]], [[NAN, NAN], [2, 0], [NAN, NAN], [6, 3]]])
  annotated = np.isfinite(truth).all(-1)
  groups = {"first": ((0,), (3,)), "pair": ((1,), (3,)), "means": ((0, 1), (3,))}
  box_size = np.array([20.0, 10.0])

  def size(name):
    return metrics.normalizing_distance(name, truth, box_size, groups, annotated).tolist()

  assert size("box_size") == [20, 10]
  assert size("pair") == pytest.approx([np.hypot(4, 8), 5])
  assert size("box_diagonal") == pytest.approx([10, 5])
  for name in ("first", "means"):  # a mean without one of its landmarks is another place
    assert np.isfinite(size(name)).tolist() == [True, False]
  single = np.array([[False, False, False, True]] * 2)
  alone = metrics.normalizing_distance("box_diagonal", truth, box_size, groups, single)
  assert np.isnan(alone).all()
  found = np.nan_to_num(truth) + np.array([3, 4])
  np.testing.assert_allclose(
    metrics.image_errors(found, truth, box_size, annotated), [0.25, 0.5], rtol=1e-6
  )
  moved = np.where(annotated[..., None], found, 1e6)
  np.testing.assert_array_equal(
    metrics.image_errors(moved, truth, box_size, annotated),
    metrics.image_errors(found, truth, box_size, annotated),
  )


def lacking(made, lack):
  """The batch with some landmarks missing."""
  annotated = np.ones(made["points"].shape[:2], bool)
  for row, index in lack:
    annotated[row, index] = False
  places = {
    key: np.where(annotated[..., None], made[key], value).astype(np.float32)
    for key, value in (("points", NAN), ("heatmap_points", MISSING))
  }
  return made | places | {"annotated": annotated}


def test_scores_leave_faces_out_by_name_and_count():
  """Landmarks 0 and 1 make the span."""
  whole = batch([0, 1, 2, 3, 4, 5])
  noisy = drawn(whole) + jnp.asarray(
    np.random.default_rng(0).uniform(0, 0.2, (6, 32, 32, 5)), jnp.float32
  )
  made = lacking(whole, [(1, 0), (4, 1), (2, 4)])
  full, sums = (
    jax.tree.map(np.asarray, jax.jit(TASK.metric_sums)(noisy, x)) for x in (whole, made)
  )
  report = TASK.report(sums)
  assert "images_left_out" not in TASK.report(full)
  assert (report["images"], report["images_left_out"]) == (4, 2)
  assert report["images_left_out_by_normalizer"] == {
    "span": 2, "height": 3, "box_size": 0, "box_diagonal": 0
  }  # fmt: skip
  assert report["images_by_part"] == {"test": 4, "odd": 2, "last": 1}
  assert report["images_left_out_by_part"] == {"test": 2, "odd": 1, "last": 1}
  # Faces that lack nothing have the errors that they had, and all six have a loss.
  np.testing.assert_allclose(sums["errors"]["span"][[0, 3, 5]], full["errors"]["span"][[0, 3, 5]])
  rest = [0, 2, 3, 5]
  assert report["nme"] == pytest.approx(sums["errors"]["span"][rest].mean())
  assert report["loss"] == pytest.approx(float(sums["loss"]) / 6)
  assert 0 < sums["loss"] < full["loss"]
  assert np.isfinite(TASK.charts(sums)["cumulative_error"]).all()
  lines = TASK.table(report).splitlines()
  assert "2 images of test lack landmarks of the span distance: not scored by it" in lines
  assert "1 of them are in odd" in lines
  assert not any("the box's side" in line for line in lines)
  scores = np.asarray(jax.jit(TASK.per_example_score)(noisy, made))
  assert np.isnan(scores).tolist() == [False, True, False, False, True, False]


def test_a_network_that_is_no_number_is_still_an_error():
  made = lacking(batch([0, 1]), [(0, 2)])
  sums = jax.tree.map(np.array, jax.jit(TASK.metric_sums)(drawn(made), made))
  sums["errors"]["span"][1] = NAN
  with pytest.raises(ValueError, match="or the network's output is not a number"):
    TASK.report(sums)


def test_a_normalizer_that_no_face_has_is_named():
  made = lacking(batch([0, 1]), [(0, 0), (1, 1)])
  sums = jax.tree.map(np.asarray, jax.jit(TASK.metric_sums)(drawn(made), made))
  with pytest.raises(ValueError, match=r"all 2 faces lack landmarks of the span distance"):
    TASK.report(sums)
  by_box = dataclasses.replace(TASK, normalizers=("box_size", "span"))
  report = by_box.report(jax.tree.map(np.asarray, jax.jit(by_box.metric_sums)(drawn(made), made)))
  assert list(report["nme_by_normalizer"]) == ["box_size"]
  assert report["images_left_out"] == 0
  assert "2 images of test lack landmarks of the span distance" in by_box.table(report)


def test_pictures_draw_what_there_is(monkeypatch):
  made = lacking(batch([3]), [(0, 1)])
  row = {key: value[0] for key, value in made.items()}
  prediction = np.asarray(TASK.predict(drawn(batch([3])), (128, 128)))[0]
  seen = {}

  def panel(image, predicted, truth, title):
    seen.update(truth=truth, title=title)
    return landmarks_panel(image, predicted, truth, title)

  monkeypatch.setattr("hrnet_jax.tasks.landmarks.task.landmarks_panel", panel)
  picture = TASK.picture(row["image"], prediction, row)
  assert picture.dtype == np.uint8
  assert np.isnan(seen["truth"]).any(1).tolist() == [False, True, False, False, False]
  assert seen["title"] == "lacks landmarks of the span distance, so not scored"
  by_box = dataclasses.replace(TASK, normalizers=("box_size",))
  by_box.picture(row["image"], prediction, row)
  assert seen["title"].startswith("mean error 0.")
