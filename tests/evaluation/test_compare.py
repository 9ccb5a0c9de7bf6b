"""Two networks on the same examples: figures, gains and the examples where they differ most."""

import numpy as np
import pytest

from hrnet_jax import registry
from hrnet_jax.data.inputs import Inputs
from hrnet_jax.evaluation import compare
from hrnet_jax.evaluation.eval_step import make_eval_step
from hrnet_jax.evaluation.evaluate import SharedStep, evaluate
from hrnet_jax.training import optimizer
from tests.helpers import toy

_, TX = optimizer.build(10, name="sgd", learning_rate=0.1, schedule={"name": "constant"})


@pytest.fixture(scope="module")
def parts():
  mesh, task = toy.make_mesh(8), toy.make_task(toy.Tiny())
  pair = tuple(toy.make_state(task.model, TX, mesh, seed).variables for seed in (0, 1))
  return task, SharedStep(make_eval_step(task, mesh), mesh), pair


def both(parts, dataset, pair=None, num_pictures=2):
  task, step, usual = parts
  with Inputs(toy.get_config(), dataset, registry.task_of(toy.get_config())).eval() as batches:
    return compare.compare(task, step, pair or usual, batches, num_pictures=num_pictures)


def test_figures_are_those_of_each_alone(parts, dataset):
  task, step, pair = parts
  found = both(parts, dataset)
  for variables, report in zip(pair, found.reports, strict=True):
    with Inputs(toy.get_config(), dataset, registry.task_of(toy.get_config())).eval() as batches:
      alone = evaluate(task, step, variables, batches)
    assert report == alone.report
  assert found.reports[0]["mean_iou"] != found.reports[1]["mean_iou"]


def test_gain_and_pictures_where_they_differ_most(parts, dataset):
  task, step, pair = parts
  found = both(parts, dataset)
  qualities = []
  for variables in pair:
    with Inputs(toy.get_config(), dataset, registry.task_of(toy.get_config())).eval() as batches:
      qualities.append(evaluate(task, step, variables, batches).per_example_score)
  for index, gain in found.gain.items():
    assert gain == pytest.approx(qualities[1][index] - qualities[0][index], abs=1e-6)
  assert sorted(found.gain) == list(range(toy.NUM_VAL))
  most = sorted(found.gain, key=lambda i: (-abs(found.gain[i]), i))[:2]
  assert list(found.pictures) == most
  assert all(x.dtype == np.uint8 and x.shape[2] == 3 for x in found.pictures.values())


def test_a_network_gains_nothing_on_itself(parts, dataset):
  pair = parts[2]
  found = both(parts, dataset, (pair[0], pair[0]))
  assert set(found.gain.values()) == {0.0}
  assert "better on 0 and worse on 0 of 10 examples" in compare.table(found)


def test_table_has_totals_and_classes(parts, dataset):
  found = both(parts, dataset)
  lines = compare.table(found).splitlines()
  assert lines[0].split() == ["first", "second", "gain"]
  rows = {line.rsplit(maxsplit=3)[0]: line.split()[-3:] for line in lines[1:-1]}
  first, second = found.reports
  assert float(rows["mean_iou"][0]) == pytest.approx(first["mean_iou"], abs=6e-5)
  for name, iou in second["iou"].items():
    assert float(rows[f"iou {name}"][1]) == pytest.approx(iou, abs=6e-5)
    gain = iou - first["iou"][name]
    assert float(rows[f"iou {name}"][2]) == pytest.approx(gain, abs=6e-5)


def test_nothing_to_compare_is_said(parts):
  task, step, pair = parts
  with pytest.raises(ValueError, match="nothing to compare"):
    compare.compare(task, step, pair, [], num_pictures=1)
