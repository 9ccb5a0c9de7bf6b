"""Convolution against explicit sums, and its stride-2 gradient against XLA's own."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hrnet_jax.ops.conv import conv

# Compiled as one piece without optimisation: much faster than operation by operation.
compiled = functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})

SIZES = [(6, 8), (7, 9), (7, 8), (8, 5), (2, 3), (1, 1)]


def noise(*shape: int, seed: int = 0) -> np.ndarray:
  return np.random.default_rng(seed).standard_normal(shape)


def loops(x: np.ndarray, kernel: np.ndarray, stride: int) -> np.ndarray:
  """PyTorch's convolution with padding `k // 2`, one output pixel at a time."""
  k = kernel.shape[0]
  padded = np.pad(x, [(0, 0), (k // 2, k // 2), (k // 2, k // 2), (0, 0)])
  height, width = (-(-n // stride) for n in x.shape[1:3])
  y = np.zeros((x.shape[0], height, width, kernel.shape[3]))
  for i in range(height):
    for j in range(width):
      window = padded[:, i * stride : i * stride + k, j * stride : j * stride + k]
      y[:, i, j] = np.einsum("bhwc,hwck->bk", window, kernel)
  return y


def plain(x: jax.Array, kernel: jax.Array, stride: int) -> jax.Array:
  pad = kernel.shape[0] // 2
  return jax.lax.conv_general_dilated(
    x, kernel, (stride,) * 2, [(pad, pad)] * 2, dimension_numbers=("NHWC", "HWIO", "NHWC")
  )


def test_stride_two_pads_both_sides() -> None:
  """Rows 1 2 3 4 under ones: 0+1+2 and 2+3+4; `SAME` would give 1+2+3 and 3+4+0."""
  x = jnp.arange(1.0, 5).reshape(1, 4, 1, 1)
  kernel = jnp.zeros((3, 3, 1, 1)).at[:, 1].set(1)
  np.testing.assert_array_equal(conv(x, kernel, 2).ravel(), [3, 9])
  np.testing.assert_array_equal(conv(x, kernel, 1).ravel(), [3, 6, 9, 7])


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("k", [1, 3])
def test_equals_explicit_loops(k: int, stride: int, size: tuple[int, int]) -> None:
  x, kernel = noise(2, *size, 3), noise(k, k, 3, 4, seed=1)
  with jax.enable_x64(True):
    y = compiled(lambda x, k: conv(x, k, stride))(x, kernel)
  np.testing.assert_allclose(y, loops(x, kernel, stride), atol=1e-12)


# Inputs, outputs and stride for every way to the gradients.
WAYS = [
  *((3, 5, 1), (16, 18, 1), (64, 16, 1), (16, 32, 1), (17, 49, 1)),
  *((3, 5, 2), (16, 5, 2), (65, 5, 2)),
]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("way", WAYS, ids=str)
def test_gradients_equal_those_of_xla(way: tuple[int, ...], size: tuple[int, int]) -> None:
  inputs, outputs, stride = way
  x, kernel = noise(2, *size, inputs), noise(3, 3, inputs, outputs, seed=1)
  dy = noise(2, -(-size[0] // stride), -(-size[1] // stride), outputs, seed=2)

  def value_and_gradients(function, x, kernel, dy):
    y, vjp = jax.vjp(lambda x, k: function(x, k, stride), x, kernel)
    return y, *vjp(dy)

  with jax.enable_x64(True):
    ours, theirs = (
      compiled(functools.partial(value_and_gradients, f))(x, kernel, dy) for f in (conv, plain)
    )
  for a, b in zip(ours, theirs, strict=True):
    np.testing.assert_allclose(a, b, atol=1e-11)


def test_gradient_of_one_by_one_equals_that_of_xla() -> None:
  x, kernel = noise(2, 4, 5, 3), noise(1, 1, 3, 5, seed=1)
  with jax.enable_x64(True):
    ours = jax.grad(lambda x, k: (conv(x, k) ** 2).sum(), argnums=(0, 1))
    theirs = jax.grad(lambda x, k: (plain(x, k, 1) ** 2).sum(), argnums=(0, 1))
    for a, b in zip(compiled(ours)(x, kernel), compiled(theirs)(x, kernel), strict=True):
      np.testing.assert_allclose(a, b, atol=1e-12)


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_gradients_in_a_loop_have_the_layout_that_is_fast_on_cpu(way: tuple[int, ...]) -> None:
  """XLA brings convolutions into it, but not those in the body of a loop."""
  inputs, outputs, stride = way
  shapes = [(3, 2, 6, 8, inputs), (3, 3, 3, inputs, outputs)]
  xs, kernels = (jax.ShapeDtypeStruct(shape, "float32") for shape in shapes)
  gradient = jax.grad(lambda x, k: (conv(x, k, stride) ** 2).sum(), argnums=(0, 1))
  loop = compiled(lambda *a: jax.lax.map(lambda each: gradient(*each), a))
  text = loop.lower(xs, kernels).compile().as_text()
  labels = set(re.findall(r"dim_labels=(\S+?->\w+), metadata.*conv_general_dilated", text))
  assert " while(" in text
  assert labels == {"b01f_01io->b01f"}


@pytest.mark.parametrize("platform", ["cuda", "tpu"])
def test_other_platforms_keep_the_transposed_convolution(platform: str) -> None:
  """Lowered for an accelerator, the stride-2 gradient holds XLA's dilated convolution."""
  gradient = jax.jit(jax.grad(lambda x, k: conv(x, k, 2).sum()))
  arguments = (jax.ShapeDtypeStruct((2, 7, 8, 3), "float32"), jnp.ones((3, 3, 3, 5)))
  text = jax.export.export(gradient, platforms=[platform])(*arguments).mlir_module()
  assert "lhs_dilate = [2, 2]" in text
  text = jax.export.export(gradient, platforms=["cpu"])(*arguments).mlir_module()
  assert "lhs_dilate = [2, 2]" not in text


def test_bfloat16_stays_bfloat16() -> None:
  for k, stride in ((1, 1), (3, 1), (3, 2)):
    x, kernel = jnp.ones((1, 4, 4, 2), "bfloat16"), jnp.ones((k, k, 2, 3), "bfloat16")

    def value_and_gradients(x, kernel, stride=stride):
      y, vjp = jax.vjp(functools.partial(conv, stride=stride), x, kernel)
      return y, *vjp(y)

    results = jax.eval_shape(value_and_gradients, x, kernel)
    assert {a.dtype for a in results} == {jnp.dtype("bfloat16")}
