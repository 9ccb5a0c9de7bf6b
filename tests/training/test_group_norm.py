"""A network with GroupNorm from its first step to its program, without running statistics."""

import functools
import pathlib

import jax
import numpy as np
import pytest

from hrnet_jax.checkpoint import networks
from hrnet_jax.checkpoint.train_state import init_state
from hrnet_jax.distributed import sharding
from hrnet_jax.export import program
from hrnet_jax.models.network import build_model
from hrnet_jax.ops.normalize import Normalize
from hrnet_jax.predict import folder
from hrnet_jax.training import optimizer
from hrnet_jax.training.step import make_train_step
from tests.helpers import toy

MODEL = toy.MODEL | {"norm": "group", "scan_layers": True, "remat": True}
STEPS = 20


@pytest.mark.slow
def test_it_learns_is_stored_predicts_and_is_exported(tmp_path: pathlib.Path) -> None:
  task, mesh, batch = (
    toy.make_task(build_model(**MODEL)),
    toy.make_mesh(2),
    toy.make_batch((4, 64, 64)),
  )
  batch["label"] = (batch["image"].mean(-1) > 127).astype(np.uint8)  # something to be learned
  batch["image"] = np.kron(batch["image"][:, ::8, ::8], np.ones((1, 8, 8, 1))).astype(np.uint8)
  batch["label"] = np.kron(batch["label"][:, ::8, ::8], np.ones((1, 8, 8))).astype(np.uint8)
  _, tx = optimizer.build(STEPS, name="adam", learning_rate=0.01, schedule={"name": "constant"})
  state = init_state(task.model, tx, 0, sharding.replicated(mesh))
  assert state.batch_stats == {}
  placed = sharding.to_global(batch, mesh)
  step = toy.compile_fast(make_train_step(task, tx, mesh, seed=0, accumulate=2), state, placed)
  losses = []
  for _ in range(STEPS):
    state, scalars = step(state, placed)
    losses.append(float(scalars["loss"]))
  assert losses[-1] < 0.6 * losses[0]
  variables = jax.device_get(state.variables)
  assert set(variables) == {"params"}

  facts = {"class_names": list(task.class_names), "palette": [list(x) for x in task.palette]}
  config = {"model": MODEL, "loss": {}, "transform": {"eval": {}}}
  facts = {"config": config, "dataset": facts | {"name": toy.NAME, "fingerprint": "0f"}}
  networks.export(tmp_path / "stored", variables, facts)
  loaded = networks.load(tmp_path / "stored")
  jax.tree.map(np.testing.assert_array_equal, jax.device_get(loaded.variables), variables)
  apply = functools.partial(task.model.apply, train=False)
  expected = jax.jit(apply)(variables, Normalize()(batch["image"]))

  found = folder.trained_network(loaded).run(batch["image"])
  assert found.shape == batch["label"].shape
  raw = program.build(loaded, "raw", size=(64, 64), batch_size=4)
  outputs = program.trace(raw, ("cpu",)).call(batch["image"])
  np.testing.assert_allclose(outputs, expected, atol=1e-4 * np.std(expected))
