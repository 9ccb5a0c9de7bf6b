"""Sums of maps on several grids: the library's against XLA's, forward and backward."""

from collections.abc import Callable
import itertools
import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hrnet_jax.ops.conv import conv_bias_relu
from hrnet_jax.ops.cpu import onednn
from hrnet_jax.ops.resize import Resize, resize
from hrnet_jax.ops.sum_maps import Concatenation, sum_maps
from tests.helpers import environment

METHODS = list(Resize)
# Shapes of the maps; the sum is on the grid of the first.
PYRAMIDS = {
  "odd sizes": ((2, 13, 17, 18), (2, 7, 9, 18), (2, 4, 5, 18), (2, 2, 3, 18)),
  "whole factors": ((1, 16, 32, 33), (1, 8, 16, 33), (1, 4, 8, 33)),
  "to one pixel": ((2, 5, 7, 3), (2, 1, 1, 3)),
  "narrower alone": ((2, 8, 8, 5), (2, 8, 4, 5)),
  "several on the grid": ((3, 8, 8, 5), (3, 8, 8, 5), (3, 2, 2, 5), (3, 8, 8, 5)),
}


def random_maps(shapes: tuple[tuple[int, ...], ...]) -> list[jax.Array]:
  rng = np.random.default_rng(0)
  return [jnp.asarray(rng.standard_normal(shape), jnp.float32) for shape in shapes]


def values_and_gradients(function: Callable, maps: list[jax.Array]) -> list[np.ndarray]:
  """The result, and the gradients of its product with random numbers."""

  @jax.jit
  def run(maps: list[jax.Array]) -> tuple:
    y, pull = jax.vjp(lambda maps: function(*maps), maps)
    weights = np.random.default_rng(1).standard_normal(y.shape).astype(y.dtype)
    return y, pull(jnp.asarray(weights))

  return [np.asarray(x) for x in jax.tree.leaves(run(maps))]


@pytest.mark.parametrize("shapes", PYRAMIDS.values(), ids=PYRAMIDS)
@pytest.mark.parametrize("relu", [False, True], ids=["", "relu"])
@pytest.mark.parametrize("method", METHODS)
def test_the_library_computes_what_xla_does(by_onednn, shapes, method, relu):
  def function(*maps: jax.Array) -> jax.Array:
    return sum_maps(maps, shapes[0][1:3], method, relu=relu)

  def wide(*maps: jax.Array) -> jax.Array:
    total = sum(resize(x, shapes[0][1:3], method) for x in maps)
    return jax.nn.relu(total) if relu else total

  maps = random_maps(shapes)
  assert "hrnet_sum" in jax.jit(function).lower(*maps).as_text()
  found = values_and_gradients(function, maps)
  with jax.enable_x64(True), onednn.portable():
    expected = values_and_gradients(wide, [jnp.asarray(np.asarray(x, "float64")) for x in maps])
  assert len(found) == 1 + len(shapes)
  for value, other in zip(found, expected, strict=True):
    np.testing.assert_allclose(value, other, rtol=0, atol=3e-6 * np.abs(other).max())


def test_numbers_that_are_none_stay(by_onednn):
  """A ReLU of the library would make zeros of what is not a number; infinity is not lost either."""
  maps = random_maps(((1, 4, 4, 2), (1, 2, 2, 2)))
  maps[1] = maps[1].at[0, 0, 0].set([np.nan, np.inf])
  y = np.asarray(jax.jit(lambda *x: sum_maps(x, (4, 4), Resize.NEAREST, relu=True))(*maps))
  assert np.isnan(y[0, :2, :2, 0]).all()
  assert np.isposinf(y[0, :2, :2, 1]).all()
  assert np.isfinite(y[0, 2:]).all()


@pytest.mark.parametrize("choice", ["onednn", "xla"])
@pytest.mark.parametrize("method", METHODS)
def test_convolution_before_concatenation_is_the_one_after_it(request, choice, method):
  if choice == "onednn":
    request.getfixturevalue("by_onednn")
  widths = (3, 6, 12, 24)
  maps = random_maps(tuple((2, 16 >> k, 24 >> k, width) for k, width in enumerate(widths)))
  rng = np.random.default_rng(2)
  kernel = jnp.asarray(rng.standard_normal((1, 1, sum(widths), 7)) / 7, jnp.float32)
  bias = jnp.asarray(rng.standard_normal(7), jnp.float32)

  def before(kernel: jax.Array, bias: jax.Array, *maps: jax.Array) -> jax.Array:
    whole = Concatenation(maps, method)
    assert whole.serves(jnp.float32) == (choice == "onednn")
    assert not whole.serves(jnp.bfloat16)
    return whole.pointwise_conv(kernel, bias, relu=True)

  def after(kernel: jax.Array, bias: jax.Array, *maps: jax.Array) -> jax.Array:
    x = jnp.concatenate([resize(x, (16, 24), method) for x in maps], axis=-1)
    return conv_bias_relu(x, kernel, bias, relu=True)

  text = jax.jit(before).lower(kernel, bias, *maps).as_text()
  assert ("hrnet_sum" in text) == (choice == "onednn")
  whole = Concatenation(tuple(maps), method)
  assert whole.shape == whole.array().shape == (2, 16, 24, sum(widths))
  found = values_and_gradients(before, [kernel, bias, *maps])
  expected = values_and_gradients(after, [kernel, bias, *maps])
  for value, other in zip(found, expected, strict=True):
    np.testing.assert_allclose(value, other, rtol=0, atol=1e-5 * np.abs(other).max())


@pytest.mark.parametrize("method", METHODS)
def test_other_dtypes_and_portable_programs_do_without(by_onednn, method):
  maps = random_maps(((1, 4, 4, 2), (1, 2, 2, 2)))
  half = [x.astype(jnp.bfloat16) for x in maps]

  def function(*maps: jax.Array) -> jax.Array:
    return sum_maps(maps, (4, 4), method, relu=True)

  assert "hrnet_sum" not in jax.jit(function).lower(*half).as_text()
  with onednn.portable():
    assert "hrnet_sum" not in jax.jit(lambda *x: function(*x)).lower(*maps).as_text()


def test_the_library_says_what_does_not_fit(by_onednn):
  """Instead of reading beyond an array."""
  x = jnp.zeros((1, 2, 2, 3))
  result = jax.ShapeDtypeStruct((1, 4, 4, 3), jnp.float32)
  call = jax.ffi.ffi_call(onednn.SUM, result)
  for coarser in ([0], [1]):
    positions = [np.zeros(3, np.int32)] * 6 if coarser[0] else []
    with pytest.raises(jax.errors.JaxRuntimeError, match=r"sum of maps: .* not fit"):
      call(x, *positions, coarser=np.array(coarser, np.int64), relu=False).block_until_ready()


def test_every_order_of_maps_is_a_sum(by_onednn):
  maps = random_maps(PYRAMIDS["odd sizes"])
  expected = None
  for order in itertools.permutations(maps):
    y = jax.jit(lambda *x: sum_maps(x, (13, 17), Resize.BILINEAR, relu=False))(*order)
    expected = y if expected is None else expected
    np.testing.assert_allclose(y, expected, rtol=0, atol=5e-6)


@pytest.mark.parametrize("instructions", ["SSE41", "AVX2", "AVX512_CORE"])
def test_every_set_of_vector_instructions_computes_it(instructions):
  """Those that this processor lacks are replaced by what it has."""
  pytest.importorskip(onednn.PACKAGE)
  script = """
import jax, numpy as np
from hrnet_jax.ops.cpu import onednn
from tests.ops import test_sum_maps as tests

def function(*maps):
  return tests.sum_maps(maps, (13, 17), tests.Resize.BILINEAR, relu=True)

maps = tests.random_maps(tests.PYRAMIDS["odd sizes"])
assert "hrnet_sum" in jax.jit(function).lower(*maps).as_text()
found = tests.values_and_gradients(function, maps)
with onednn.portable():
  expected = tests.values_and_gradients(lambda *x: function(*x), maps)
for value, other in zip(found, expected, strict=True):
  np.testing.assert_allclose(value, other, rtol=0, atol=3e-6 * np.abs(other).max())
print(onednn.description())
"""
  run = subprocess.run(
    [sys.executable, "-c", script],
    cwd=environment.ROOT,
    env={
      **os.environ,
      "ONEDNN_MAX_CPU_ISA": instructions,
      "XLA_FLAGS": environment.xla_flags(*environment.QUICK, devices=1),
    },
    capture_output=True,
    text=True,
    timeout=120,
  )
  assert run.returncode == 0, run.stderr
  name = {"SSE41": "SSE4.1", "AVX2": "AVX2", "AVX512_CORE": ("AVX-512", "AVX2")}[instructions]
  assert run.stdout.strip().endswith(name)
