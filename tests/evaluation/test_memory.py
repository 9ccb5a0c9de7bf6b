"""A validation that does not fit into the memory is done in smaller groups; scores stay."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hrnet_jax.distributed import sharding
from hrnet_jax.errors import UserError
from hrnet_jax.evaluation import memory
from hrnet_jax.evaluation.eval_step import make_eval_step
from hrnet_jax.evaluation.evaluate import SharedStep
from hrnet_jax.training import optimizer
from tests.helpers import toy

_, TX = optimizer.build(10, name="sgd", learning_rate=0.1, schedule={"name": "constant"})
OUT = "RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes."


@pytest.fixture(scope="module")
def task():
  return toy.make_task(toy.Tiny())


class Narrow:
  """A step that fits `most` examples into its memory."""

  shared = True

  def __init__(self, step, most, message=OUT):
    self.step, self.most, self.message, self.calls = step, most, message, []

  def __call__(self, variables, batch):
    self.calls.append(len(batch["mask"]))
    if self.calls[-1] > self.most:
      raise jax.errors.JaxRuntimeError(self.message)
    return self.step(variables, batch)


def make(task, devices=1):
  mesh = toy.make_mesh(devices)
  step = SharedStep(make_eval_step(task, mesh), mesh)
  batch = toy.make_batch((6, 32, 32)) | {"index": np.arange(6, dtype=np.int32)}
  batch["mask"] = np.arange(6) < 5
  return step, toy.make_state(task.model, TX, mesh).variables, batch, mesh


def test_a_batch_that_does_not_fit_is_taken_in_parts(task, capsys):
  step, variables, batch, _ = make(task)
  whole = step(variables, batch)
  narrow = Narrow(step, 1)
  parts = memory.InParts(narrow, 1)
  found = parts(variables, batch)
  assert narrow.calls == [6, 3, *[1] * 6]
  jax.tree.map(np.testing.assert_array_equal, found.metric_sums, whole.metric_sums)
  jax.tree.map(np.testing.assert_array_equal, found.predictions, whole.predictions)
  np.testing.assert_allclose(found.per_example_score, whole.per_example_score, rtol=1e-6)
  said = capsys.readouterr().err.splitlines()
  assert said == [
    "note: 6 images of 32x32 pixels at a time do not fit into the memory (eval.batch_size); going "
    "on with 3",
    "note: 3 images of 32x32 pixels at a time do not fit into the memory (eval.batch_size); going "
    "on with 1",
  ]
  parts(variables, batch)  # what fitted is remembered
  assert narrow.calls[8:] == [1] * 6


def test_the_last_part_is_filled_up(task):
  step, variables, batch, _ = make(task)
  five = {key: value[:5] for key, value in batch.items()}
  whole, narrow = step(variables, five), Narrow(step, 2)
  found = memory.InParts(narrow, 1)(variables, five)
  assert narrow.calls == [5, 2, 2, 2]
  assert len(found.predictions) == len(found.per_example_score) == 5
  np.testing.assert_array_equal(found.predictions, whole.predictions)
  jax.tree.map(np.testing.assert_array_equal, found.metric_sums, whole.metric_sums)


def test_where_nothing_fits_it_is_one_line(task):
  step, variables, batch, _ = make(task)
  with pytest.raises(UserError, match=r"^1 images of 32x32 pixels .* 9 bytes\.\); let transform"):
    memory.InParts(Narrow(step, 0), 1)(variables, batch)
  with pytest.raises(UserError, match=r"^2 images of 32x32 pixels .* which may change when"):
    memory.InParts(Narrow(step, 0), 2)(variables, batch)


def test_with_other_processes_nothing_is_tried_again(task, monkeypatch):
  step, variables, batch, _ = make(task)
  monkeypatch.setattr(memory.jax, "process_count", lambda: 2)
  narrow = Narrow(step, 1)
  with pytest.raises(UserError, match=r"^6 images .*; lower eval\.batch_size, which may change"):
    memory.InParts(narrow, 1)(variables, batch)
  assert narrow.calls == [6]


def test_other_errors_of_devices_pass(task):
  step, variables, batch, _ = make(task)
  with pytest.raises(jax.errors.JaxRuntimeError, match="INTERNAL"):
    memory.InParts(Narrow(step, 1, "INTERNAL: a bug"), 1)(variables, batch)


def example(batch):
  return {key: value[0] for key, value in batch.items()}


def test_the_estimate_is_near_that_of_the_compiler(task):
  step, variables, batch, _ = make(task)
  shapes = {key: jax.ShapeDtypeStruct((8, *x.shape[1:]), x.dtype) for key, x in batch.items()}
  analysis = step.run.lower(variables, shapes).compile().memory_analysis()
  compiled = analysis.temp_size_in_bytes + analysis.output_size_in_bytes
  found = memory._needed(step, variables, example(batch), 8)
  assert 0.5 < found / compiled < 3


@pytest.mark.parametrize(("devices", "factor", "expected"), [(1, 2, 8), (1, 0.8, 4), (2, 1e-6, 2)])
def test_groups_become_as_small_as_the_memory_asks(
  task, monkeypatch, capsys, devices, factor, expected
):
  step, variables, batch, _ = make(task, devices)
  needed = memory._needed(step, variables, example(batch), 8)
  monkeypatch.setattr(memory, "_free_bytes", lambda: int(factor * needed))
  assert memory.fitting_batch_size(step, variables, example(batch), 8, 99) == expected
  said = capsys.readouterr().err
  assert bool(said) == (expected < 8)
  assert ("which may still be too many" in said) == (factor < 0.1)
  if said:
    assert said.startswith("note: to test 8 images of 32x32 pixels at a time (eval.batch_size) ta")
    assert said.count("\n") == 1


def test_loops_and_calls_are_looked_into():
  def body(carry, x):
    big = jnp.tile(carry[:, None], (1, 100))  # 4,000 bytes
    return big.sum(1) + x, carry

  def loop(x):
    return jax.lax.scan(body, x, jnp.zeros((7, 10)))[1]

  peak = memory._peak(jax.jit(loop).trace(jnp.zeros(10)).jaxpr.jaxpr)
  assert 4000 < peak < 9000


def test_processes_agree(task, monkeypatch):
  step, variables, batch, _ = make(task)
  needed = memory._needed(step, variables, example(batch), 8)
  monkeypatch.setattr(memory, "exchange", lambda x: np.array([x, int(0.8 * needed)]))
  assert memory.fitting_batch_size(step, variables, example(batch), 8, 99) == 4
  assert sharding.batch_multiple(step.mesh) == 1


def test_a_small_split_needs_no_more_than_it_has(task, monkeypatch, capsys):
  step, variables, batch, _ = make(task, 2)
  monkeypatch.setattr(memory, "_free_bytes", lambda: 10**12)
  assert memory.fitting_batch_size(step, variables, example(batch), 10**9, 3) == 4
  assert not capsys.readouterr().err
