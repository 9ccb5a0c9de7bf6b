"""Faults of XLA's partitioner that the rules for heights in `sharding` steer clear of.

Convolutions whose rows are split over devices give the right values and, for some heights, wrong
gradients. Seen with JAX 0.10.2 on CPU:

* kernels at stride 2, one row on each of eight devices: the first row counts once too often;
* kernels at stride 2, an input whose rows do not divide, such as six over four devices: some of
  the terms are lost;
* the input of a residual block with two rows, one on each of two devices, where the batch is
  divided as well. Four rows are right, and so is one row on each of three devices or more.

Right in all cases tried: chains of five strided convolutions, with and without others between
them, and enlargements, over 2 to 8 devices, where the last map has whole rows on every device.
"""

from collections.abc import Callable
import re

import jax
import jax.numpy as jnp
from jax.sharding import AxisType, NamedSharding, PartitionSpec
import numpy as np
import pytest

from hrnet_jax.distributed import sharding
from hrnet_jax.ops.conv import conv
from hrnet_jax.ops.resize import Resize, resize
from tests.helpers import toy
from tests.helpers.marks import slow_but

LAYOUT = ("NHWC", "HWIO", "NHWC")
# Rows of the image, devices, convolutions with stride 2.
WRONG = [(8, 8, 1), (12, 4, 2), (24, 8, 2)]


def column(x: jax.Array, kernel: jax.Array) -> jax.Array:
  """Three rows into one, at stride 2, padded as in the network."""
  return jax.lax.conv_general_dilated(x, kernel, (2, 1), [(1, 1), (0, 0)], dimension_numbers=LAYOUT)


def differences(
  step: Callable, kernels: list[np.ndarray], x: np.ndarray, devices: int
) -> tuple[float, float]:
  """How far loss and kernel gradients on several devices are from those on one, relative."""

  @jax.jit
  @jax.value_and_grad
  def run(kernels: list[jax.Array], x: jax.Array) -> jax.Array:
    for kernel in kernels:
      x = step(x, kernel)
    return (x * jnp.arange(1, x.size + 1, dtype=x.dtype).reshape(x.shape)).sum()

  mesh = jax.make_mesh(
    (devices,), ("rows",), devices=jax.devices()[:devices], axis_types=(AxisType.Auto,)
  )
  there = jax.device_put(x, NamedSharding(mesh, PartitionSpec(None, "rows")))
  expected, actual = run(kernels, x), run(jax.device_put(kernels, sharding.replicated(mesh)), there)
  loss, gradients = jax.tree.map(
    lambda a, b: float(np.linalg.norm(np.asarray(a) - b) / np.linalg.norm(b)), actual, expected
  )
  return loss, max(gradients)


def column_case(height: int, devices: int, count: int) -> tuple[float, float]:
  x = np.arange(1, height + 1, dtype=np.float32).reshape(1, height, 1, 1)
  return differences(column, [np.ones((3, 1, 1, 1), np.float32)] * count, x, devices)


def test_the_partitioner_still_gives_wrong_kernel_gradients():
  found = {case: column_case(*case) for case in WRONG}
  for case, (loss, _) in found.items():
    assert loss < 1e-6, f"{case}: the loss is wrong as well, by {loss:.0e}"
  if all(gradient < 1e-6 for _, gradient in found.values()):
    pytest.fail("fixed: lift the rule in sharding.height_multiple")


def residual_case(height: int) -> tuple[float, float]:
  """How far loss and input gradient of `x + conv(x)` on two by two devices are from the truth."""

  @jax.jit
  @jax.value_and_grad
  def run(x: jax.Array, kernel: jax.Array) -> jax.Array:
    y = jax.lax.conv_general_dilated(x, kernel, (1, 1), [(1, 1), (1, 1)], dimension_numbers=LAYOUT)
    return jnp.square(x + y).sum()

  x = np.arange(2 * height * 2, dtype=np.float32).reshape(2, height, 2, 1)
  kernel = np.arange(9, dtype=np.float32).reshape(3, 3, 1, 1)
  mesh = toy.make_mesh(2, 2)
  place = sharding.batch_shardings(mesh, {"image": x})["image"]
  expected = run(x, kernel)
  actual = run(jax.device_put(x, place), jax.device_put(kernel, sharding.replicated(mesh)))
  return tuple(
    float(np.linalg.norm(np.asarray(a) - b) / np.linalg.norm(b))
    for a, b in zip(actual, expected, strict=True)
  )


def test_the_partitioner_still_gives_wrong_gradients_of_residual_blocks():
  loss, gradient = residual_case(2)
  assert loss < 1e-6
  if gradient < 1e-6:
    pytest.fail("fixed: images of 64 rows can be split over two devices; see sharding")
  assert max(residual_case(4)) < 1e-6


@pytest.mark.parametrize(("height", "devices", "count"), WRONG)
def test_whole_rows_at_the_last_stride_are_right(height, devices, count):
  del height
  assert max(column_case(2**count * devices, devices, count)) < 1e-6


@pytest.mark.parametrize("devices", slow_but([2, 4, 8], 2))
def test_five_strided_convolutions_are_right_at_the_allowed_height(devices):
  height = sharding.height_multiple(toy.make_mesh(1, devices))
  rng = np.random.default_rng(0)
  x = rng.normal(size=(1, height, 8, 2))
  kernels = list(rng.normal(size=(5, 3, 3, 2, 2)))
  with jax.enable_x64(True):
    assert max(differences(lambda x, k: jnp.tanh(conv(x, k, 2)), kernels, x, devices)) < 1e-12


@pytest.mark.parametrize("method", list(Resize))
def test_whole_images_stay_on_their_device_when_they_are_enlarged(method):
  """Also in the gradient; only what is summed over all images is exchanged."""
  mesh = toy.make_mesh(4)

  @jax.jit
  @jax.grad
  def gradient(x: jax.Array) -> jax.Array:
    return jnp.square(resize(x, (16, 8), method)).sum()

  images = jax.ShapeDtypeStruct((8, 4, 4, 2), jnp.float32)
  place = sharding.batch_shardings(mesh, {"image": images})["image"]
  program = toy.compile_fast(
    gradient, jax.ShapeDtypeStruct(images.shape, "float32", sharding=place)
  )
  moved = re.findall(r"(?:collective-permute|all-gather|all-to-all)\S*\(", program.as_text())
  assert not moved
