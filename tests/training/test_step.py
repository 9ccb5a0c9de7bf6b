"""One step: the same on every mesh, in parts and in bfloat16 as worked out here, state donated."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import hrnet_jax
from hrnet_jax.ops.normalize import normalize
from hrnet_jax.training import optim, sharding
from hrnet_jax.training.step import make_eval_step, make_train_step
from tests import toy

# Without decay the momentum after one step is the gradient.
_, TX = optim.build(10, name="sgd", learning_rate=0.1, schedule={"name": "constant"})


def momentum(state):
  return state.opt_state[0][1].trace


def step_once(model, mesh, batch, **options):
  """State and scalars after one step from the same random weights."""
  step = make_train_step(toy.make_task(model), TX, mesh, seed=0, **options)
  args = toy.make_state(model, TX, mesh), sharding.to_global(batch, mesh)
  state, scalars = toy.compile_fast(step, *args)(*args)
  return jax.device_get(state), jax.device_get(scalars)


def assert_close(actual, expected, tolerance):
  """Every tensor is as near as `tolerance` times its norm; near zero, a share of the largest."""
  # The bias of a convolution before a norm has no gradient but rounding.
  least = 1e-3 * max(np.linalg.norm(np.float64(y)) for y in jax.tree.leaves(expected))

  def check(path, x, y):
    error = np.linalg.norm(np.float64(x) - y) / max(np.linalg.norm(np.float64(y)), least)
    assert error <= tolerance, f"{jax.tree_util.keystr(path)} is off by {error:.1e}"

  jax.tree_util.tree_map_with_path(check, actual, expected)


def manual(model, variables, images, labels):
  """Loss, gradient and new statistics without the code under test."""
  task = toy.make_task(model)

  def loss(params):
    logits, new = model.apply(
      {**variables, "params": params}, normalize(images), train=True, mutable=["batch_stats"]
    )
    return task.loss(logits, {"label": labels})[0], new["batch_stats"]

  (value, stats), grads = jax.value_and_grad(loss, has_aux=True)(variables["params"])
  return value, grads, stats


@pytest.fixture(scope="module")
def whole():
  """Network, batch and result on one device; 128 rows can be split over four.

  In float64: float32 rounds differently on every mesh, and a value that changes its side of a
  ReLU shows in the gradient. A wrong gradient would be as wrong in either.
  """
  batch = toy.make_batch((8, 128, 64))
  with jax.enable_x64(True):
    model = hrnet_jax.build_model(**toy.MODEL | {"dtype": "float64"})
    return model, batch, step_once(model, toy.make_mesh(1), batch)


@pytest.mark.slow
@pytest.mark.parametrize(("data", "space"), [(8, 1), (4, 2), (2, 4)])
def test_every_mesh_gives_the_same_loss_gradient_and_update(whole, data, space):
  model, batch, (expected, scalars) = whole
  with jax.enable_x64(True):
    state, there = step_once(model, toy.make_mesh(data, space), batch)
  assert state.params["head"]["mix"]["conv"]["kernel"].dtype == np.float64
  np.testing.assert_allclose(there["loss"], scalars["loss"], rtol=1e-9)
  np.testing.assert_allclose(there["grad_norm"], scalars["grad_norm"], rtol=1e-9)
  assert_close(momentum(state), momentum(expected), 1e-9)
  assert_close(state.params, expected.params, 1e-9)
  assert_close(state.batch_stats, expected.batch_stats, 1e-9)
  assert state.step == 1


def test_step_is_the_update_of_the_gradient_of_the_loss():
  model, batch, mesh = toy.Tiny(), toy.make_batch((4, 32, 32)), toy.make_mesh(1)
  start = jax.device_get(toy.make_state(model, TX, mesh))
  state, scalars = step_once(model, mesh, batch)
  loss, grads, stats = manual(model, start.variables, batch["image"], batch["label"])
  np.testing.assert_allclose(scalars["loss"], loss, rtol=1e-5)
  norm = np.sqrt(sum((np.float64(g) ** 2).sum() for g in jax.tree.leaves(grads)))
  np.testing.assert_allclose(scalars["grad_norm"], norm, rtol=1e-5)
  assert_close(momentum(state), grads, 1e-4)
  expected = jax.tree.map(lambda p, g: p - 0.1 * g, start.params, grads)
  assert_close(state.params, expected, 1e-5)
  assert_close(state.batch_stats, stats, 1e-5)


@pytest.mark.parametrize("devices", [1, 4])
def test_accumulated_gradient_is_the_mean_of_halves_that_each_have_their_norm(devices):
  model, batch, mesh = toy.Tiny(), toy.make_batch((8, 32, 32)), toy.make_mesh(devices)
  variables = jax.device_get(toy.make_state(model, TX, mesh)).variables
  state, scalars = step_once(model, mesh, batch, accumulate=2)
  losses, halves = [], []
  for half in (slice(0, None, 2), slice(1, None, 2)):
    loss, grads, stats = manual(model, variables, batch["image"][half], batch["label"][half])
    losses.append(loss)
    halves.append(grads)
    variables = {**variables, "batch_stats": stats}  # the second half goes on from the first
  mean = jax.tree.map(lambda a, b: (a + b) / 2, *halves)
  np.testing.assert_allclose(scalars["loss"], np.mean(losses), rtol=1e-5)
  assert_close(momentum(state), mean, 1e-4)
  assert_close(state.batch_stats, variables["batch_stats"], 1e-5)
  assert state.step == 1


def test_bfloat16_computes_near_float32_and_keeps_float32_weights():
  batch, mesh = toy.make_batch((4, 32, 32)), toy.make_mesh(1)
  half = dataclasses.replace(toy.NUMERICS, dtype=jnp.dtype("bfloat16"))
  expected, exact = step_once(toy.Tiny(), mesh, batch)
  state, scalars = step_once(toy.Tiny(half), mesh, batch)
  assert {x.dtype for x in jax.tree.leaves(state.variables)} == {np.dtype("float32")}
  assert {x.dtype for x in jax.tree.leaves(momentum(state))} == {np.dtype("float32")}
  assert scalars["loss"].dtype == np.float32
  assert scalars["loss"] != exact["loss"]  # it did compute in another precision
  np.testing.assert_allclose(scalars["loss"], exact["loss"], rtol=2e-2)
  assert_close(state.params, expected.params, 5e-2)


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
