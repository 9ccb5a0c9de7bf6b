"""The landmark task: from heat maps of known points to errors, figures and pictures."""

import copy
import dataclasses
import functools
import inspect
import pathlib

import flax.linen as nn
import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import pytest

from hrnet_jax import registry
from hrnet_jax.data.dataset import Dataset, DatasetInfo
from hrnet_jax.ops import heatmaps, targets
from hrnet_jax.tasks.interface import Task
from hrnet_jax.tasks.landmarks.loss import mean_squared_error
from hrnet_jax.tasks.landmarks.scores import Split
from hrnet_jax.tasks.landmarks.task import Decoding, Landmarks
from hrnet_jax.tasks.landmarks.transforms import FaceRecord, LandmarksEvalTransform
from tests.helpers import drawn_faces

PAIRS = ((0, 1), (3, 4))
GROUPS = {"span": ((0,), (1,)), "height": ((0, 1), (3, 4))}
TASK = Landmarks(
  model=nn.Module(),
  num_landmarks=5,
  sigma=1.5,
  targets="gaussian",
  flip_pairs=PAIRS,
  groups=GROUPS,
  normalizers=("span", "height", "box_size", "box_diagonal"),
  decoding=Decoding(refine="dark"),
  threshold=0.1,
  split=Split("test", 6, {"odd": (1, 3, 5), "last": (4, 5)}),
)
REFERENCE = dataclasses.replace(TASK, targets="rounded", decoding=Decoding(refine="quarter"))


def example(index: int, crop: str = "affine", size: int = 128) -> dict:
  """A drawn face, cropped; five of its points."""
  rng = np.random.default_rng([index])
  image = drawn_faces.background(rng, (140, 170))
  pose = drawn_faces.random_pose(rng, image.shape[:2])
  points = pose.place(drawn_faces.points19()[[7, 10, 13, 15, 17]])
  low, high = points.min(0), points.max(0)
  face = FaceRecord(image, points, (low + high) / 2, float((high - low).max()) / 200)
  return LandmarksEvalTransform(crop=crop, crop_size=size).apply(face) | {"index": np.int32(index)}


def batch(indices: list[int], count: int | None = None, **options: object) -> dict:
  """Examples, and copies of the last that only fill up the batch."""
  filled = indices + indices[-1:] * ((count or len(indices)) - len(indices))
  rows = [example(index, **options) for index in filled]
  made = {key: np.stack([row[key] for row in rows]) for key in rows[0]}
  return made | {"mask": np.arange(len(filled)) < len(indices)}


def drawn(made: dict, draw=targets.gaussian_targets) -> jax.Array:
  """What a perfect network returns."""
  size = made["image"].shape[1] // 4
  return draw(jnp.asarray(made["heatmap_points"]), (size, size), 1.5)


def test_perfect_heat_maps_have_no_error() -> None:
  made = batch([0, 1, 2])
  sums = jax.jit(TASK.metric_sums)(drawn(made), made)
  assert sums["seen"].tolist() == [1, 1, 1, 0, 0, 0]
  for name in TASK.normalizers:
    assert max(sums["errors"][name]) < 2e-3, name  # of a bump without noise
  assert sums["loss"] == 0


def test_errors_are_those_of_moved_points() -> None:
  """Bumps a cell to the right: side / 32 pixels of the image, whatever the face.

  Near the border the maps are smoothed with less than a whole Gaussian, hence the tolerance.
  """
  made = batch([0, 1])
  moved = made | {"heatmap_points": made["heatmap_points"] + np.float32([1, 0])}
  sums = jax.jit(TASK.metric_sums)(drawn(moved), made)
  span = np.linalg.norm(made["points"][:, 0] - made["points"][:, 1], axis=-1)
  want = made["window"][:, 2] / 32 / span
  np.testing.assert_allclose(sums["errors"]["span"][:2], want, rtol=0.03)
  want = made["window"][:, 2] / 32 / made["box_size"]
  np.testing.assert_allclose(sums["errors"]["box_size"][:2], want, rtol=0.03)
  np.testing.assert_allclose(
    jax.jit(TASK.per_example_score)(drawn(moved), made), -sums["errors"]["span"][:2], rtol=1e-6
  )
  np.testing.assert_allclose(
    sums["loss"], 2 * mean_squared_error(drawn(moved), drawn(made)), rtol=1e-5
  )


def test_sums_of_batches_add_up_and_leave_out_what_fills_up() -> None:
  rng = np.random.default_rng(0)
  parts = [batch([0, 1, 2, 3]), batch([4, 5], 4)]
  found = []
  for made in parts:
    noisy = drawn(made) + jnp.asarray(rng.uniform(0, 0.2, (4, 32, 32, 5)), jnp.float32)
    found.append((noisy, jax.jit(TASK.metric_sums)(noisy, made)))
  total = jax.tree.map(lambda *x: np.asarray(sum(x)), *(sums for _, sums in found))
  assert total["seen"].tolist() == [1] * 6
  maps = jnp.concatenate([found[0][0], found[1][0][:2]])
  whole = jax.jit(TASK.metric_sums)(maps, batch([0, 1, 2, 3, 4, 5]))
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), total, whole)


def test_reference_positions_are_whole_pixels_of_the_table() -> None:
  made = batch([0, 1], crop="reference")
  maps = drawn(made, targets.rounded_targets)
  maps += jnp.asarray(np.random.default_rng(0).uniform(0, 0.3, maps.shape), jnp.float32)
  points = jax.jit(functools.partial(REFERENCE.predict, size=(128, 128)))(maps)
  found = np.asarray(REFERENCE.to_image(points, made))
  cells = heatmaps.decode(maps, "quarter")
  np.testing.assert_array_equal(found, heatmaps.to_whole_pixels(cells, made["whole_pixels"]))
  assert (found == np.round(found)).all()
  fine = dataclasses.replace(REFERENCE, decoding=Decoding(refine="dark"))
  assert (np.asarray(fine.to_image(points, made)) != found).any()


def test_prediction_is_in_pixels_of_the_crop() -> None:
  maps = np.zeros((1, 8, 8, 2), np.float32)
  maps[0, 3, 5, 0] = 1  # the cell that covers columns 20 to 23 and rows 12 to 15
  plain = dataclasses.replace(
    TASK, num_landmarks=2, flip_pairs=(), decoding=Decoding(refine="none")
  )
  found = plain.predict(jnp.asarray(maps), (32, 32))
  assert found[0, 0].tolist() == [21.5, 13.5]
  assert max(found[0, 1]) < 0  # nowhere positive
  found = plain.to_image(
    found, {"image": np.zeros((1, 32, 32, 3)), "window": np.array([[10.0, 20.0, 64.0]])}
  )
  assert found[0, 0].tolist() == [54, 48]


class Bright:
  """Stands for a network: heat map k is the first channel at stride 4, times k + 1."""

  def apply(self, variables, images, *, train):
    assert not train
    return images[:, ::4, ::4, :1] * jnp.arange(1, 6) * variables


def test_flip_averages_with_the_mirrored_crop() -> None:
  images = jnp.asarray(np.random.default_rng(0).standard_normal((2, 16, 16, 3)), jnp.float32)
  task = dataclasses.replace(TASK, model=Bright())
  flipping = dataclasses.replace(task, decoding=Decoding(flip=True))
  plain, both = (t.outputs(2.0, images) for t in (task, flipping))
  mirrored = task.outputs(2.0, images[:, :, ::-1])[:, :, ::-1]
  want = (plain + mirrored[..., [1, 0, 2, 4, 3]]) / 2
  np.testing.assert_allclose(both, want, rtol=1e-6)
  again = flipping.outputs(2.0, images[:, :, ::-1])
  np.testing.assert_allclose(again[:, :, ::-1][..., [1, 0, 2, 4, 3]], both, rtol=1e-6)


@pytest.mark.parametrize("crop", ["affine", "reference"])
def test_truth_in_a_picture_is_where_a_perfect_network_points(crop, monkeypatch) -> None:
  seen = {}

  def panel(image, predicted, truth, title):
    seen.update(predicted=predicted, truth=truth, title=title)
    return np.zeros((4, 4, 3), np.uint8)

  monkeypatch.setattr("hrnet_jax.tasks.landmarks.task.landmarks_panel", panel)
  task, made = {"affine": TASK, "reference": REFERENCE}[crop], batch([3], crop=crop)
  draw = targets.gaussian_targets if crop == "affine" else targets.rounded_targets
  prediction = np.asarray(task.predict(drawn(made, draw), (128, 128)))[0]
  row = {key: value[0] for key, value in made.items()} | {"name": np.str_("a.jpg")}
  task.picture(row["image"], prediction, row)
  # Whole cells are off by half a cell, and the reference's stamps near the border by another one;
  # a cell is four pixels of the crop.
  limit = {"affine": 0.2, "reference": 6.1}[crop]
  assert np.abs(seen["predicted"] - seen["truth"]).max() < limit
  error = -float(task.per_example_score(drawn(made, draw), made)[0])
  assert seen["title"] == f"a.jpg: mean error {100 * error:.2f} % of the span distance"


def test_comparison_is_higher_than_a_picture() -> None:
  made = batch([3])
  row = {key: value[0] for key, value in made.items()}
  prediction = np.asarray(TASK.predict(drawn(made), (128, 128)))[0]
  one = TASK.picture(row["image"], prediction, row)
  two = TASK.comparison(row["image"], prediction, prediction + 3, row)
  assert two.dtype == one.dtype == np.uint8
  assert two.shape[0] > 1.5 * one.shape[0]


CONFIG = {
  "model": {"task": "landmarks", "num_landmarks": 5, "width": 4, "modules": (1, 1, 1), "blocks": 1},
  "data": {"eval_split": "test"},
  "transform": {
    "train": {"crop": "affine", "crop_size": 64},
    "eval": {"crop": "affine", "crop_size": 64},
  },
  "loss": {"targets": "gaussian", "sigma": 1.5},
  "eval": {"decoding": {"refine": "dark"}, "scoring": {"threshold": 0.08}},
}
SIZES = {"test": 6, "train": 9, "more": 4}


class Counted(Dataset):
  """A data set of which only the numbers of records are known."""

  def source(self, split):
    return range(SIZES[split])

  def subsets_of(self, split):
    return {"odd": (1, 3)} if split == "test" else {}


FACTS = Counted(
  directory=pathlib.Path(),
  statistics={},
  landmark_names=("a", "b", "c", "d", "e"),
  flip_pairs=((0, 1), (3, 4)),
  normalizers=GROUPS,
  unions={"both": ("more", "test")},
)


def build(facts: object = FACTS, **changes: object) -> Landmarks:
  config = copy.deepcopy(CONFIG)
  for key, value in changes.items():
    *path, last = key.split("__")
    functools.reduce(lambda x, name: x.setdefault(name, {}), path, config)[last] = value
  return registry.build_task(ml_collections.ConfigDict(config), facts)


def test_build_takes_what_the_data_set_knows() -> None:
  task = build()
  assert task.flip_pairs == PAIRS
  assert task.normalizers == ("span", "height", "box_size", "box_diagonal")
  assert (task.threshold, task.decoding.refine) == (0.08, "dark")
  assert task.split == Split("test", 6, {"odd": (1, 3)})
  shape = jax.ShapeDtypeStruct((1, 64, 64, 3), jnp.float32)
  init = functools.partial(task.model.init_with_output, train=False)
  assert jax.eval_shape(init, jax.random.key(0), shape)[0].shape == (1, 16, 16, 5)


def test_a_union_is_scored_by_its_splits_and_their_parts() -> None:
  task = build(data__eval_split="both")
  want = {"more": (0, 1, 2, 3), "test": (4, 5, 6, 7, 8, 9), "odd": (5, 7)}
  assert task.split == Split("both", 10, want)


def test_the_first_normalizer_can_be_chosen() -> None:
  task = build(eval__scoring__normalizer="box_diagonal")
  assert task.normalizers == ("box_diagonal", "span", "height", "box_size")
  bare = DatasetInfo(landmark_names=("a",), flip_pairs=())
  assert build(bare, model__num_landmarks=1).normalizers == ("box_size",)


@pytest.mark.parametrize(
  ("changes", "message"),
  [
    ({"model__num_landmarks": 98}, r"num_landmarks is 98, but the data set has 5 landmarks; set"),
    ({"loss__targets": "square"}, r"unknown loss\.targets 'square'; known: gaussian, rounded"),
    ({"loss__targets": "rounded"}, r"drawn at whole cells, which only .*crop 'reference' gives"),
    ({"loss__sigma": 0}, r"loss\.sigma is 0"),
    ({"transform__eval__stride": 8}, r"transform\.eval\.stride is 8, .* every 4 pixels"),
    ({"eval__decoding__refine": "half"}, r"unknown eval\.decoding\.refine 'half'; known: dark"),
    ({"eval__scoring__normalizer": "nose"}, r"unknown eval\.scoring\.normalizer 'nose'.*: box_d"),
    ({"eval__scoring__threshold": 0}, r"eval\.scoring\.threshold is 0"),
    ({"transform__train__flip_pairs": ((0, 7),)}, r"the pair 0, 7 names a point beyond"),
  ],
)
def test_wrong_values_are_explained(changes: dict, message: str) -> None:
  with pytest.raises(ValueError, match=message):
    build(**changes)


def test_flip_needs_to_know_the_partners() -> None:
  bare = DatasetInfo(landmark_names=("a",) * 5, flip_pairs=())
  assert build(bare).flip_pairs == ()
  with pytest.raises(ValueError, match=r"eval\.decoding\.flip .* the data set has no flip pairs"):
    build(bare, eval__decoding__flip=True)
  given = {"transform__train__flip_pairs": ((1, 2),)}
  assert build(bare, eval__decoding__flip=True, **given).flip_pairs == ((1, 2),)


@pytest.mark.parametrize("key", ["loss__sigm", "eval__decoding__flipp", "eval__scoring__treshold"])
def test_misspelt_keys_are_refused(key: str) -> None:
  with pytest.raises(TypeError, match=key.rpartition("__")[2]):
    build(**{key: 1})


def test_the_contract_of_a_task_is_kept() -> None:
  for name, method in inspect.getmembers(Task, inspect.isfunction):
    if not name.startswith("_"):
      ours = inspect.signature(getattr(TASK, name))
      assert len(ours.parameters) == len(inspect.signature(method).parameters) - 1, name
  assert isinstance(TASK.metric, str)
