"""Small states of which every number depends on the step, saved and compared."""

import json
import pathlib
import shutil
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh
import numpy as np

import hrnet_jax
from hrnet_jax.checkpoint import checksums
from hrnet_jax.checkpoint.manager import Checkpoints
from hrnet_jax.checkpoint.train_state import TrainState
from hrnet_jax.training import optimizer
from tests.helpers import toy

_, TX = optimizer.build(10, name="sgd", learning_rate=0.1, schedule={"name": "poly"})
MODEL = hrnet_jax.build_model(**toy.MODEL)
FACTS = {
  "config": toy.get_config().to_dict(),
  "dataset": {"name": "streets", "palette": [[1, 2, 3]], "fingerprint": "f" * 64},
}


def state_at(step: int, mesh: Mesh | None = None) -> TrainState:
  """The toy's network and optimizer at a step."""
  state = toy.make_state(MODEL, TX, mesh or toy.make_mesh(1), step)
  rng = np.random.default_rng(step)
  opt_state = jax.tree.map(
    lambda x: jax.device_put(rng.integers(0, 99, x.shape).astype(x.dtype), x.sharding),
    state.opt_state,
  )
  return state.replace(
    step=jax.device_put(jnp.int32(step), state.step.sharding), opt_state=opt_state
  )


def small_at(step: int) -> TrainState:
  """A state of a few tensors, for what is done hundreds of times."""
  rng = np.random.default_rng(step)
  params = {"a": rng.normal(size=(3, 5)).astype(np.float32), "b": {"c": rng.normal(size=7)}}
  params = jax.tree.map(lambda x: x.astype(np.float32), params)
  state = TrainState(step=np.int32(step), params=params, batch_stats={}, opt_state=TX.init(params))
  return jax.device_put(state, jax.devices()[0])


def assert_same_bits(actual: Any, expected: Any) -> None:
  """Compares all arrays of two trees."""
  jax.tree.map(np.testing.assert_array_equal, jax.device_get(actual), jax.device_get(expected))


def steps(workdir: pathlib.Path) -> list[int]:
  """Of the checkpoints that are there; nothing else may be."""
  return sorted(int(p.name) for p in (workdir / "checkpoints").iterdir())


def save(
  workdir: pathlib.Path, scores: dict[int, float | None], keep_last: int = 2, make: Any = state_at
) -> None:
  """Saves a state at each step of `{step: score}`."""
  with Checkpoints(workdir, facts=FACTS, keep_last=keep_last) as saver:
    for step, score in scores.items():
      saver.save(make(step), {"next_batch": 10 * step}, score=score)


def files_of(folder: pathlib.Path) -> dict[pathlib.Path, bytes]:
  """Contents of all files below a folder."""
  return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def as_format_1(folder: pathlib.Path, *, digests: bool = True) -> None:
  """Makes of a checkpoint one that an earlier version might have written."""
  path = folder / "facts" / "metadata"
  facts = json.loads(path.read_text())
  del facts["format"], facts["version"]
  path.write_text(json.dumps(facts))
  score = json.loads((folder / "metrics" / "metrics").read_text()).get("score")
  (folder / "metrics" / "metrics").write_text(json.dumps({} if score is None else {"score": score}))
  if not digests:
    shutil.rmtree(folder / "digests")
    return
  path = folder / "digests" / "metadata"
  written = json.loads(path.read_text())
  del written["step"]
  written["facts"] = checksums.digests({"facts": facts})["facts"]
  path.write_text(json.dumps(written))
