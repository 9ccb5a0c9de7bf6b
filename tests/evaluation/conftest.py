"""A checkpoint that the tests of evaluation share."""

import pathlib

import pytest

import hrnet_jax
from hrnet_jax.checkpoint import manager
from hrnet_jax.training import optimizer
from tests.helpers import toy


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, data: pathlib.Path) -> pathlib.Path:
  """A workdir with one checkpoint of random weights."""
  path = tmp_path_factory.mktemp("run")
  config = toy.get_config().to_dict()
  facts = {"config": config, "dataset": toy.prepared.open_dataset(toy.NAME, data).facts()}
  _, tx = optimizer.build(10, name="sgd", learning_rate=0.1, schedule={"name": "constant"})
  state = toy.make_state(hrnet_jax.build_model(**toy.MODEL), tx, toy.make_mesh(1))
  with manager.Checkpoints(path, facts=facts) as saver:
    saver.save(state, {"next_batch": 0})
  return path
