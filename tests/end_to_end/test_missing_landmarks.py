"""Faces of which landmarks are missing: table -> prepare, train, evaluate; a tiny network."""

import copy
import csv
import dataclasses
import pathlib

import flax.linen as nn
import jax
import numpy as np
import optax
import pytest

from hrnet_jax import registry
from hrnet_jax.checkpoint.train_state import TrainState
from hrnet_jax.data import inputs, prepared
from hrnet_jax.distributed import sharding
from hrnet_jax.evaluation.eval_step import make_eval_step
from hrnet_jax.evaluation.evaluate import SharedStep, evaluate
from hrnet_jax.evaluation.results import open_writer
from hrnet_jax.training.step import make_train_step
from tests.helpers import face_miniatures, landmark_runs

NAME = "landmarks_csv/faces"


class Tiny(nn.Module):
  """Five heat maps at stride 4 by two convolutions."""

  @nn.compact
  def __call__(self, images: jax.Array, *, train: bool) -> jax.Array:
    del train
    hidden = nn.relu(nn.Conv(4, (5, 5), (4, 4))(images))
    return nn.Conv(5, (1, 1))(hidden)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> pathlib.Path:
  """Prepared faces; every third row lacks two landmarks, one of the eyes among them."""
  path = tmp_path_factory.mktemp("missing")
  source = face_miniatures.landmarks_csv(path)
  for split in ("train", "val"):
    header, *rows = (source / f"{split}.csv").read_text().splitlines()
    for number in range(0, len(rows), 3):
      cells = rows[number].split(",")
      eye = 2 * (number % 2)
      cells[1 + eye] = cells[2 + eye] = cells[7] = cells[8] = ""
      rows[number] = ",".join(cells)
    (source / f"{split}.csv").write_text("\n".join([header, *rows]))
  said = []
  prepared.prepare(NAME, path / "data", source=source, say=said.append, missing="nan")
  assert said == ["10 of 70 landmarks are missing, in 5 of 14 faces; they are neither learnt nor "
                  "scored"]  # fmt: skip
  return path


@pytest.fixture(scope="module")
def config(folder):
  found = copy.deepcopy(landmark_runs.config("landmarks_csv", folder))
  found.data.name = NAME
  return found


def train(task, batches):
  """Scalars of every step and the last state."""
  mesh = sharding.make_mesh({"data": -1})
  tx = optax.adam(1e-2)
  params = task.model.init(jax.random.key(0), np.zeros((1, 64, 64, 3)), train=True)["params"]
  state = TrainState(
    step=np.zeros((), np.int32), params=params, batch_stats={}, opt_state=tx.init(params)
  )
  step, scalars = make_train_step(task, tx, mesh, seed=0), []
  for batch in batches:
    state, found = step(state, sharding.to_global(batch, mesh))
    scalars.append(jax.device_get(found))
  return jax.device_get(state.params), scalars


def test_they_are_neither_learnt_nor_scored(folder, config):
  dataset = inputs.open_dataset(config)
  reading = inputs.Inputs(config, dataset, registry.task_of(config))
  task = dataclasses.replace(registry.build_task(config, dataset), model=Tiny())
  with reading.train() as loader:
    batches = [next(loader) for _ in range(8)]
  assert all(batch["annotated"].shape == (8, 5) for batch in batches)
  assert not all(batch["annotated"].all() for batch in batches)
  params, scalars = train(task, batches)
  losses = [float(x["loss"]) for x in scalars]
  assert np.isfinite([*losses, *(float(x["grad_norm"]) for x in scalars)]).all()
  assert losses[-1] < losses[0]
  # Whatever stands where no landmark is, every bit of what was learnt is the same.
  for garbage in (np.nan, 5.0):
    spoilt = [
      batch
      | {
        "heatmap_points": np.where(
          batch["annotated"][..., None], batch["heatmap_points"], np.float32(garbage)
        )
      }
      for batch in batches
    ]
    again, _ = train(task, spoilt)
    jax.tree.map(np.testing.assert_array_equal, again, params)
  mesh = sharding.make_mesh({"data": -1})
  writer = open_writer("landmarks", folder / "export", dataset, task)
  with reading.eval() as loader:
    result = evaluate(
      task,
      SharedStep(make_eval_step(task, mesh), mesh),
      {"params": params},
      loader,
      num_pictures=5,
      num_worst=5,
      consume=writer.add,
    )
  writer.finish(result.totals)
  report = result.report
  assert report["images"] == 5  # by the side of the box, which all have
  assert "images_left_out" not in report
  assert np.isfinite([report["nme"], report["loss"], report["auc"]]).all()
  assert len(result.pictures) == 5
  # The error of each face is that of its exported positions against those that were annotated.
  with (folder / "export/landmarks.csv").open(newline="") as file:
    rows = [np.array(row[2:], float) for row in list(csv.reader(file))[1:]]
  for index, record in enumerate(dataset.source("val")):
    there = record["annotated"]
    assert there.sum() == (3 if index % 3 == 0 else 5)
    distances = np.linalg.norm(rows[index].reshape(-1, 2) - record["points"], axis=1)
    error = distances[there].mean() / record["box_size"]
    assert -result.per_example_score[index] == pytest.approx(error, rel=1e-3)
