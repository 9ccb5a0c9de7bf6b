"""Interpolation against rows worked by hand, PyTorch's formula and its transposed matrix."""

from collections.abc import Callable
import functools

from hypothesis import given, settings
from hypothesis import strategies as st
import jax
from jax import export
import jax.numpy as jnp
import numpy as np
import pytest

from hrnet_jax.ops.resize import Resize, resize

# Shapes grow and shrink, by whole factors and by others; (in, out) heights and widths.
SIZES = [
  ((5, 7), (9, 13)),
  ((3, 2), (12, 10)),
  ((15, 30), (119, 60)),
  ((9, 8), (4, 3)),
  ((1, 4), (3, 1)),
]


# Compiled as one piece without optimisation: much faster than operation by operation.
compiled = functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})


def move(size: tuple[int, int], method: Resize | str) -> Callable[[jax.Array], jax.Array]:
  return compiled(lambda x: resize(x, size, method))


def matrix(n_in: int, n_out: int, method: Resize) -> np.ndarray:
  """One axis of `torch.nn.functional.interpolate` as a dense matrix, entry by entry."""
  m = np.zeros((n_out, n_in))
  for d in range(n_out):
    if method is Resize.NEAREST:
      m[d, int(d * n_in / n_out)] = 1
      continue
    if method is Resize.BILINEAR:
      s = max((d + 0.5) * n_in / n_out - 0.5, 0.0)
    else:
      s = d * (n_in - 1) / (n_out - 1) if n_out > 1 else 0.0
    i = min(int(s), n_in - 1)
    m[d, i] += 1 - (s - i)
    m[d, min(i + 1, n_in - 1)] += s - i
  return m


def reference(x: np.ndarray, size: tuple[int, int], method: Resize) -> np.ndarray:
  rows, columns = (matrix(x.shape[k + 1], size[k], method) for k in (0, 1))
  return np.einsum("ih,jw,bhwc->bijc", rows, columns, x)


def noise(*shape: int) -> np.ndarray:
  return np.random.default_rng(0).standard_normal(shape)


@pytest.mark.parametrize(
  ("method", "row", "expected"),
  [
    ("nearest", [1, 2], [1, 1, 2, 2]),
    ("nearest", [1, 2], [1, 1, 2]),
    ("nearest", [1, 2, 3, 4], [1, 3]),
    ("nearest", [1, 2, 3, 4, 5], [1, 2, 4]),
    ("bilinear", [0, 4], [0, 1, 3, 4]),
    ("bilinear", [0, 6], [0, 3, 6]),
    ("bilinear", [0, 6], [0, 0, 2, 4, 6, 6]),
    ("bilinear", [0, 4, 8, 12], [2, 10]),
    ("bilinear", [0, 6, 12], [1.5, 10.5]),
    ("bilinear", [0, 3, 6, 9], [0.5, 4.5, 8.5]),
    ("bilinear", [0, 1, 2, 3, 4, 5], [1, 4]),
    ("bilinear_aligned", [0, 6], [0, 2, 4, 6]),
    ("bilinear_aligned", [0, 4, 8], [0, 2, 4, 6, 8]),
    ("bilinear_aligned", [0, 4, 8, 12], [0, 6, 12]),
    ("bilinear_aligned", [0, 6, 12], [0, 12]),
    ("bilinear_aligned", [5, 6, 12], [5]),
  ],
)
def test_rows_worked_by_hand(method: str, row: list, expected: list) -> None:
  x, n = np.asarray(row, np.float32), len(expected)
  across = move((1, n), method)(x.reshape(1, 1, -1, 1))
  down = move((n, 1), method)(x.reshape(1, -1, 1, 1))
  np.testing.assert_allclose(across.ravel(), expected, atol=1e-6)
  np.testing.assert_allclose(down.ravel(), expected, atol=1e-6)


@pytest.mark.parametrize("method", Resize)
@pytest.mark.parametrize(("size_in", "size_out"), SIZES)
def test_equals_the_formula_of_pytorch(method: Resize, size_in: tuple, size_out: tuple) -> None:
  x = noise(2, *size_in, 3)
  y = move(size_out, method)(x.astype(np.float32))
  assert y.shape == (2, *size_out, 3)
  np.testing.assert_allclose(y, reference(x, size_out, method), atol=3e-6)


@pytest.mark.parametrize("method", Resize)
@pytest.mark.parametrize(("size_in", "size_out"), SIZES)
def test_gradient_is_the_transposed_map(method: Resize, size_in: tuple, size_out: tuple) -> None:
  x, dy = noise(2, *size_in, 3), noise(2, *size_out, 3)
  rows, columns = (matrix(size_in[k], size_out[k], method) for k in (0, 1))
  with jax.enable_x64(True):
    dx = compiled(lambda x, dy: jax.vjp(lambda x: resize(x, size_out, method), x)[1](dy)[0])(x, dy)
  np.testing.assert_allclose(dx, np.einsum("ih,jw,bijc->bhwc", rows, columns, dy), atol=1e-12)


def test_gradient_is_that_of_plain_gathers() -> None:
  """The custom gradient against automatic differentiation of the formula itself."""
  x, weight = noise(1, 5, 6, 2), noise(1, 7, 4, 2)
  rows, columns = matrix(5, 7, Resize.BILINEAR), matrix(6, 4, Resize.BILINEAR)
  with jax.enable_x64(True):
    plain = jax.grad(
      lambda x: (weight * jnp.einsum("ih,jw,bhwc->bijc", rows, columns, x) ** 2).sum()
    )
    ours = jax.grad(lambda x: (weight * resize(x, (7, 4), "bilinear") ** 2).sum())
    np.testing.assert_allclose(compiled(ours)(x), compiled(plain)(x), atol=1e-12)


@settings(max_examples=15, deadline=None, database=None, derandomize=True)
@given(
  size_in=st.tuples(st.integers(1, 9), st.integers(1, 9)),
  size_out=st.tuples(st.integers(1, 20), st.integers(1, 20)),
  method=st.sampled_from(list(Resize)),
  value=st.floats(-100, 100, width=32),
)
def test_constant_stays_constant(
  size_in: tuple, size_out: tuple, method: Resize, value: float
) -> None:
  y = move(size_out, method)(np.full((1, *size_in, 1), value, np.float32))
  assert y.shape == (1, *size_out, 1)
  np.testing.assert_allclose(y, value, rtol=1e-6)


@pytest.mark.parametrize("method", Resize)
def test_same_size_changes_nothing(method: Resize) -> None:
  x = noise(1, 5, 7, 2).astype(np.float32)
  np.testing.assert_array_equal(move((5, 7), method)(x), x)


@pytest.mark.parametrize("method", Resize)
@pytest.mark.parametrize("size", [(6, 10), (7, 11)])  # a whole factor, and another ratio
def test_bfloat16_is_computed_in_float32(method: Resize, size: tuple[int, int]) -> None:
  x = jnp.asarray(noise(1, 3, 5, 4), jnp.bfloat16)
  y = move(size, method)(x)
  assert y.dtype == jnp.bfloat16
  wide = move(size, method)(x.astype(jnp.float32))
  np.testing.assert_array_equal(y, wide.astype(jnp.bfloat16))
  dx = jax.eval_shape(lambda x: jax.vjp(lambda x: resize(x, size, method), x)[1](y)[0], x)
  assert dx.dtype == jnp.bfloat16


def test_float64_keeps_its_digits() -> None:
  x = noise(1, 5, 7, 2)
  with jax.enable_x64(True):
    for method in Resize:
      y = move((9, 14), method)(x)
      np.testing.assert_allclose(y, reference(x, (9, 14), method), atol=1e-14)


def test_errors_say_what_was_expected() -> None:
  with pytest.raises(ValueError, match=r"expects \(B, H, W, C\), got shape \(4, 4, 3\)"):
    resize(jnp.zeros((4, 4, 3)), (8, 8), "nearest")
  with pytest.raises(ValueError, match="bicubic"):
    resize(jnp.zeros((1, 4, 4, 3)), (8, 8), "bicubic")


@pytest.mark.parametrize("method", ["bilinear", "bilinear_aligned"])
def test_sizes_left_open_are_settled_by_the_call(method: str) -> None:
  """An exported program computes its positions; they are those of known sizes."""
  shape = export.symbolic_shape("b, h, w, 2")
  move_on = jax.jit(lambda x: resize(x, (2 * x.shape[1] + 1, 3 * x.shape[2] - 2), method))
  program = export.export(move_on)(jax.ShapeDtypeStruct(shape, jnp.float32))
  for h, w in ((1, 1), (5, 7), (97, 150)):
    x = noise(2, h, w, 2).astype(np.float32)
    expected = move((2 * h + 1, 3 * w - 2), method)(x)
    np.testing.assert_allclose(program.call(x), expected, rtol=0, atol=1e-5)
