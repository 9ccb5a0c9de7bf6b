"""A batch in parts is the whole batch with BatchNorm over the parts: loss, gradient, statistics.

In float64, so that nothing but rounding is left.
"""

import dataclasses
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hrnet_jax.ops.normalize import Normalize
from tests.helpers import all_tasks, one_step, toy

BATCH, PARTS = 8, 2
SIZE = BATCH // PARTS  # of a part
# Part k has the rows k, k + PARTS, ...; BatchNorm's groups are rows that follow each other.
PERMUTED = np.arange(BATCH).reshape(SIZE, PARTS).T.ravel()


class Twice(nn.Module):
  """Two networks beside each other, for losses with two outputs."""

  layer_config: Any

  @nn.compact
  def __call__(self, images: jax.Array, *, train: bool) -> tuple[jax.Array, jax.Array]:
    first, second = toy.Tiny(self.layer_config), toy.Tiny(self.layer_config)
    return first(images, train=train), second(images, train=train)


class Pooled(nn.Module):
  """One vector for each image."""

  layer_config: Any

  @nn.compact
  def __call__(self, images: jax.Array, *, train: bool) -> jax.Array:
    return toy.Tiny(self.layer_config)(images, train=train).mean((1, 2))


def two_outputs(layer_config: Any, **options: Any) -> Any:
  task = toy.make_task(Twice(layer_config))
  return dataclasses.replace(
    task, aux_weights=(0.4, 1.0), class_weights=all_tasks.CLASS_WEIGHTS, **options
  )


TASKS = {
  "segmentation": lambda n, _: toy.make_task(toy.Tiny(n)),
  "two_outputs": lambda n, _: two_outputs(n),
  # Each part selects on its own.
  "hard_examples": lambda n, parts: two_outputs(
    n, hard=dataclasses.replace(all_tasks.HARD, num_groups=2 * parts)
  ),
  "landmarks": lambda n, _: all_tasks.landmarks_of(toy.Tiny(n)),
  "classification": lambda n, _: all_tasks.classification_of(Pooled(n)),
}


def make_task(name: str, *, group_size: int = 0, parts: int = 1) -> Any:
  layer_config = dataclasses.replace(
    toy.LAYERS, dtype=jnp.dtype("float64"), bn_group_size=group_size
  )
  return TASKS[name](layer_config, parts)


def make_batch(task: Any, height: int = 32) -> dict[str, np.ndarray]:
  """The first part has fewer pixels that count than the second."""
  batch = all_tasks.make_batch(task, (BATCH, height, 32))
  if batch.get("label", np.empty(0)).ndim == 3:
    batch["label"][0::PARTS, 3:] = 255
  return batch


@pytest.mark.parametrize(
  ("name", "mesh"),
  [
    ("segmentation", (4, 1)),
    ("landmarks", (2, 2)),
    *(pytest.param(name, (1, 1), marks=pytest.mark.slow) for name in TASKS),
    pytest.param("hard_examples", (2, 2), marks=pytest.mark.slow),
  ],
)
def test_parts_are_the_whole_batch_with_its_groups(name, mesh):
  height = 32 if mesh[1] == 1 else 128
  with jax.enable_x64(True):
    whole = make_task(name, group_size=SIZE, parts=PARTS)
    batch = make_batch(whole, height)
    permuted = {key: value[PERMUTED] for key, value in batch.items()}
    expected = one_step.run(whole, toy.make_mesh(1), permuted)
    task = make_task(name)
    actual = one_step.run(task, toy.make_mesh(*mesh), batch, accumulate=PARTS)
  assert expected[1]["grad_norm"] > 1e-3
  one_step.assert_same(actual, expected, 1e-9)


def manual(task: Any, batch: dict[str, np.ndarray]) -> tuple[float, Any, Any]:
  """Sum of the pixels' losses over all parts by their number; without the code under test."""
  variables = jax.device_get(toy.make_state(task.model, one_step.TX, toy.make_mesh(1)).variables)
  pixels = (batch["label"] != 255).sum()

  def loss(params: Any) -> tuple[jax.Array, Any]:
    total, stats = 0.0, []
    for k in range(PARTS):
      part = {name: x[k::PARTS] for name, x in batch.items()}
      outputs, new = task.model.apply(
        {**variables, "params": params},
        Normalize()(part["image"]),
        train=True,
        mutable=["batch_stats"],
      )
      total += task.loss(outputs, part)[0] * ((part["label"] != 255).sum() / pixels)
      stats.append(new["batch_stats"])
    return total, jax.tree.map(lambda *x: sum(x) / PARTS, *stats)

  gradient = jax.jit(jax.value_and_grad(loss, has_aux=True))
  compiled = toy.compile_fast(gradient, variables["params"])
  (value, stats), gradient = jax.device_get(compiled(variables["params"]))
  return value, gradient, stats


def test_parts_count_by_their_pixels_and_the_statistics_move_once():
  with jax.enable_x64(True):
    task = make_task("segmentation")
    batch = make_batch(task)
    loss, gradient, stats = manual(task, batch)
    state, scalars = one_step.run(task, toy.make_mesh(1), batch, accumulate=PARTS)
  # Images are normalised in float32, which another program rounds in another way.
  np.testing.assert_allclose(scalars["loss"], loss, rtol=1e-7)
  one_step.assert_close(one_step.momentum(state), gradient, 1e-6)
  one_step.assert_close(state.batch_stats, stats, 1e-7)


def test_a_batch_without_a_pixel_that_counts_has_no_loss_and_no_gradient():
  with jax.enable_x64(True):
    task = make_task("segmentation")
    batch = make_batch(task) | {"label": np.full((BATCH, 32, 32), 255, np.uint8)}
    _, scalars = one_step.run(task, toy.make_mesh(1), batch, accumulate=PARTS)
  assert (scalars["loss"], scalars["grad_norm"]) == (0, 0)
