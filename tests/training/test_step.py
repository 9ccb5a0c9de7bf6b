"""One step: as worked out here, also in bfloat16; state donated; what evaluation adds up."""

import dataclasses
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hrnet_jax.checkpoint.train_state import init_state
from hrnet_jax.distributed import sharding
from hrnet_jax.evaluation.eval_step import make_eval_step
from hrnet_jax.ops.normalize import Normalize
from hrnet_jax.training.step import make_train_step
from tests.helpers import all_tasks, one_step, toy
from tests.helpers.marks import slow_but
from tests.helpers.one_step import TX, assert_close, momentum


def manual(model, variables, images, labels):
  """Loss, gradient and new statistics without the code under test."""
  task = toy.make_task(model)

  def loss(params):
    logits, new = model.apply(
      {**variables, "params": params}, Normalize()(images), train=True, mutable=["batch_stats"]
    )
    return task.loss(logits, {"label": labels})[0], new["batch_stats"]

  (value, stats), grads = jax.value_and_grad(loss, has_aux=True)(variables["params"])
  return value, grads, stats


def test_step_is_the_update_of_the_gradient_of_the_loss():
  model, batch, mesh = toy.Tiny(), toy.make_batch((4, 32, 32)), toy.make_mesh(1)
  start = jax.device_get(toy.make_state(model, TX, mesh))
  state, scalars = one_step.run(toy.make_task(model), mesh, batch)
  loss, grads, stats = manual(model, start.variables, batch["image"], batch["label"])
  np.testing.assert_allclose(scalars["loss"], loss, rtol=1e-5)
  norm = np.sqrt(sum((np.float64(g) ** 2).sum() for g in jax.tree.leaves(grads)))
  np.testing.assert_allclose(scalars["grad_norm"], norm, rtol=1e-5)
  assert_close(momentum(state), grads, 1e-4)
  expected = jax.tree.map(lambda p, g: p - 0.1 * g, start.params, grads)
  assert_close(state.params, expected, 1e-5)
  assert_close(state.batch_stats, stats, 1e-5)


def test_bfloat16_computes_near_float32_and_keeps_float32_weights():
  batch, mesh = toy.make_batch((4, 32, 32)), toy.make_mesh(1)
  half = dataclasses.replace(toy.LAYERS, dtype=jnp.dtype("bfloat16"))
  expected, exact = one_step.run(toy.make_task(toy.Tiny()), mesh, batch)
  state, scalars = one_step.run(toy.make_task(toy.Tiny(half)), mesh, batch)
  assert {x.dtype for x in jax.tree.leaves(state.variables)} == {np.dtype("float32")}
  assert {x.dtype for x in jax.tree.leaves(momentum(state))} == {np.dtype("float32")}
  assert scalars["loss"].dtype == np.float32
  assert scalars["loss"] != exact["loss"]  # it did compute in another precision
  np.testing.assert_allclose(scalars["loss"], exact["loss"], rtol=2e-2)
  assert_close(state.params, expected.params, 5e-2)


@pytest.mark.parametrize("name", slow_but(all_tasks.TASKS, "segmentation", "landmarks"))
def test_bfloat16_is_only_inside_the_network(name):
  task, mesh = all_tasks.TASKS[name]("bfloat16"), toy.make_mesh(1)
  state = jax.eval_shape(lambda: init_state(task.model, TX, 0, sharding.replicated(mesh)))
  batch = jax.eval_shape(lambda: all_tasks.make_batch(task, (2, 64, 32)))
  logits = jax.eval_shape(task.outputs, state.variables, batch["image"])
  after, scalars = jax.eval_shape(make_train_step(task, TX, mesh, seed=0), state, batch)
  assert dtypes(after) <= {"float32", "int32"}
  assert dtypes((after.variables, momentum(after), logits, scalars)) == {"float32"}
  program = jax.jit(task.outputs).lower(state.variables, batch["image"]).as_text()
  products = re.findall(
    r"stablehlo\.(?:convolution|dot_general)\b.*-> tensor<[\dx]*x(\w+)>$", program, re.MULTILINE
  )
  # Only scores are in float32: of the outputs, and of pixels against classes.
  assert products.count("f32") == (
    3 if hasattr(task, "aux_weights") and len(task.aux_weights) > 1 else 1
  )
  assert products.count("bf16") == len(products) - products.count("f32") > 50


def dtypes(tree):
  return {str(x.dtype) for x in jax.tree.leaves(tree)}


def test_state_is_donated_and_comes_back_on_every_device():
  mesh = toy.make_mesh(2)
  state = toy.make_state(toy.Tiny(), TX, mesh)
  step = make_train_step(toy.make_task(toy.Tiny()), TX, mesh, seed=0)
  after, _ = step(state, sharding.to_global(toy.make_batch((2, 32, 32)), mesh))
  assert all(x.is_deleted() for x in jax.tree.leaves(state.params))
  assert all(x.sharding.is_fully_replicated for x in jax.tree.leaves(after))


def test_randomness_is_a_function_of_seed_and_step():
  model, mesh = toy.Tiny(dropout=0.5), toy.make_mesh(1)
  batch = sharding.to_global(toy.make_batch((2, 32, 32)), mesh)
  losses = {}
  for seed in (0, 1):
    step = make_train_step(toy.make_task(model), TX, mesh, seed=seed)
    for at in (0, 5, 5):
      state = toy.make_state(model, TX, mesh).replace(step=jnp.int32(at))
      loss = float(step(state, batch)[1]["loss"])
      assert losses.setdefault((seed, at), loss) == loss
  assert len(set(losses.values())) == 4


def test_evaluation_sums_only_what_is_unmasked():
  model, mesh, task = toy.Tiny(), toy.make_mesh(2), toy.make_task(toy.Tiny())
  variables = toy.make_state(model, TX, mesh).variables
  batch = toy.make_batch((4, 32, 32)) | {"mask": np.array([True, False, True, False])}
  run = make_eval_step(task, mesh)
  sums, predictions, quality = run(variables, sharding.to_global(batch, mesh))
  expected = np.zeros((toy.NUM_CLASSES, toy.NUM_CLASSES), int)
  labels = batch["label"][batch["mask"]]
  cells = labels[labels < 255], np.asarray(predictions)[batch["mask"]][labels < 255]
  np.add.at(expected, cells, 1)
  np.testing.assert_array_equal(sums["confusion"], expected)
  assert predictions.shape == (4, 32, 32)
  assert len(np.unique(predictions)) > 1
  for row in range(4):
    label, prediction = batch["label"][row], np.asarray(predictions[row])
    counted, shares = label < 255, []
    for k in range(toy.NUM_CLASSES):
      true, found = label[counted] == k, prediction[counted] == k
      if (true | found).any():
        shares.append((true & found).sum() / (true | found).sum())
    assert float(quality[row]) == pytest.approx(np.mean(shares), rel=1e-6)
