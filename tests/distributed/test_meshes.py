"""One step of every task is the same on every mesh: losses, gradient, update, statistics.

In float64: float32 rounds differently on every mesh, and a value that changes its side of a ReLU
shows in the gradient. A wrong gradient would be as wrong in either.
"""

import functools
from typing import Any

import jax
import numpy as np
import pytest

from tests.helpers import all_tasks, one_step, toy

# Height of the images, of which the mesh has to allow the split, and the meshes.
CASES: dict[str, tuple[int, list[tuple[int, int]]]] = {
  "segmentation": (128, [(8, 1)]),
  "scanned": (128, [(2, 4), (4, 2)]),
  "hard_examples": (128, [(4, 2)]),
  "landmarks": (128, [(2, 2)]),
  "classification": (256, [(1, 8)]),
  "mask_rcnn": (128, [(8, 1), (4, 2)]),
  "cascade_rcnn": (128, [(8, 1)]),
}


def step(name: str, data: int, space: int) -> tuple[Any, Any]:
  with jax.enable_x64(True):
    task = (all_tasks.TASKS | all_tasks.DETECTORS)[name]("float64")
    batch = all_tasks.make_batch(task, (8, CASES[name][0], 32))
    return one_step.run(task, toy.make_mesh(data, space), batch)


@functools.cache
def on_one_device(name: str) -> tuple[Any, Any]:
  return step(name, 1, 1)


@pytest.mark.slow
@pytest.mark.parametrize(
  ("name", "data", "space"),
  [(name, *mesh) for name, (_, meshes) in CASES.items() for mesh in meshes],
)
def test_every_mesh_gives_the_same_loss_gradient_and_update(name, data, space):
  expected, actual = on_one_device(name), step(name, data, space)
  assert {x.dtype for x in jax.tree.leaves(actual[0].params)} == {np.dtype("float64")}
  assert expected[1]["grad_norm"] > 1e-3
  one_step.assert_same(actual, expected, 1e-9)
