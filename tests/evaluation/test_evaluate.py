"""Every example counts once, whatever the batch, the mesh and the number of processes."""

import dataclasses

import numpy as np
import pytest

from hrnet_jax import registry
from hrnet_jax.data.inputs import Inputs
from hrnet_jax.distributed import sharding
from hrnet_jax.evaluation.eval_step import make_eval_step
from hrnet_jax.evaluation.evaluate import Ranking, SharedStep, evaluate
from hrnet_jax.tasks.segmentation.task import Segmentation
from hrnet_jax.training import optimizer
from tests.helpers import toy

_, TX = optimizer.build(10, name="sgd", learning_rate=0.1, schedule={"name": "constant"})
PIXELS = toy.NUM_VAL * 64 * 63  # one row of each is ignored


class Recorder(Segmentation):
  """Reports the totals themselves as well."""

  def report(self, sums):
    return super().report(sums) | {"confusion": sums["confusion"]}


@pytest.fixture(scope="module")
def task():
  plain = toy.make_task(toy.Tiny())
  return Recorder(**{f.name: getattr(plain, f.name) for f in dataclasses.fields(plain)})


def evaluated(task, dataset, mesh, batch_size=8, process=(0, 1), **options):
  config = toy.get_config()
  config.eval.batch_size = batch_size
  variables = toy.make_state(task.model, TX, mesh).variables
  height = sharding.height_multiple(mesh)
  with Inputs(config, dataset, registry.task_of(config), *process).eval(
    height_multiple=height
  ) as batches:
    return evaluate(task, shared_step(task, mesh), variables, batches, **options)


def shared_step(task, mesh):
  return SharedStep(make_eval_step(task, mesh), mesh)


@pytest.fixture
def confusion(task, dataset):
  """Totals of one example at a time on one device."""
  return evaluated(task, dataset, toy.make_mesh(1), batch_size=1).report["confusion"]


def test_totals_are_64_bits_and_cover_every_pixel_once(confusion, dataset):
  assert confusion.dtype == np.int64
  assert confusion.sum() == PIXELS
  assert confusion.sum(1).tolist() == dataset.statistics["val"]["class_pixels"]
  assert (confusion.sum(0) > 0).sum() > 1  # the random network does not see one class only


@pytest.mark.parametrize("batch_size", [2, 5, 8])
def test_batch_size_changes_nothing(task, dataset, confusion, batch_size):
  there = evaluated(task, dataset, toy.make_mesh(1), batch_size).report["confusion"]
  np.testing.assert_array_equal(there, confusion)


@pytest.mark.parametrize("mesh", [(8, 1), (4, 2)])
def test_devices_change_nothing(task, dataset, confusion, mesh):
  there = evaluated(task, dataset, toy.make_mesh(*mesh)).report["confusion"]
  np.testing.assert_array_equal(there, confusion)


@pytest.mark.parametrize("batch_size", [4, 8])
def test_the_shares_of_two_processes_add_up(task, dataset, confusion, batch_size):
  mesh = toy.make_mesh(2)
  shares = [
    evaluated(task, dataset, mesh, batch_size, (i, 2)).report["confusion"] for i in range(2)
  ]
  assert all(share.sum() > 0 for share in shares)
  np.testing.assert_array_equal(sum(shares), confusion)


def test_processes_have_equally_many_batches(dataset):
  config = toy.get_config()
  loaders = [Inputs(config, dataset, registry.task_of(config), i, 2).eval() for i in range(2)]
  batches = [list(loader) for loader in loaders]
  assert [len(x) for x in batches] == [2, 2]
  index = np.concatenate([b["index"][b["mask"]] for share in batches for b in share])
  assert sorted(index) == list(range(toy.NUM_VAL))


def test_what_fills_up_the_last_batch_counts_for_nothing(task):
  mesh = toy.make_mesh(1)
  variables = toy.make_state(task.model, TX, mesh).variables
  step = shared_step(task, mesh)
  batch = toy.make_batch((4, 32, 32)) | {"index": np.array([0, 1, -1, -1])}
  batch["mask"] = batch["index"] >= 0
  first = evaluate(task, step, variables, [batch]).report
  batch["image"][2:], batch["label"][2:] = 255, 1
  again = evaluate(task, step, variables, [batch]).report
  np.testing.assert_array_equal(first["confusion"], again["confusion"])
  assert first["pixels"] == (batch["label"][:2] != 255).sum()


def test_pictures_are_of_the_first_examples(task, dataset):
  result = evaluated(task, dataset, toy.make_mesh(1), batch_size=2, num_pictures=3)
  assert sorted(result.pictures) == [0, 1, 2]
  assert {(x.dtype, x.ndim, x.shape[2]) for x in result.pictures.values()} == {
    (np.dtype("uint8"), 3, 3)
  }
  assert (result.pictures[0] != result.pictures[1]).any()


def test_pictures_of_more_than_all_are_all(task, dataset):
  result = evaluated(task, dataset, toy.make_mesh(8), num_pictures=50)
  assert sorted(result.pictures) == list(range(toy.NUM_VAL))


def test_every_example_has_a_quality_and_the_worst_are_drawn(task, dataset):
  result = evaluated(task, dataset, toy.make_mesh(8), num_worst=3)
  assert sorted(result.per_example_score) == list(range(toy.NUM_VAL))
  assert len(set(result.per_example_score.values())) > 1
  worst = sorted(result.per_example_score, key=result.per_example_score.get)[:3]
  assert list(result.worst) == worst
  assert result.pictures == {}


def test_examples_are_handed_on_with_their_predictions(task, dataset):
  seen = {}
  result = evaluated(
    task, dataset, toy.make_mesh(1), batch_size=4, consume=lambda i, *rest: seen.update({i: rest})
  )
  assert sorted(seen) == list(range(toy.NUM_VAL))
  total = 0
  for index, (prediction, example) in seen.items():
    assert example["name"] == f"{index:02d}"
    assert prediction.shape == example["label"].shape == (64, 64)
    total += (prediction == example["label"]).sum()
  assert total == result.report["confusion"].trace()


def test_ranking_keeps_the_largest_and_never_what_is_unknown():
  ranking = Ranking(2)
  for index, value in enumerate([1.0, float("nan"), 3.0, 2.0, 0.0]):
    if ranking.admits(value):
      ranking.add(value, index, str(index))
  assert ranking.items() == [(2, "2"), (3, "3")]
  assert not Ranking(0).admits(1.0)


def test_an_empty_split_is_refused(task):
  with pytest.raises(ValueError, match="nothing to evaluate: the split is empty"):
    evaluate(task, None, {}, [])
