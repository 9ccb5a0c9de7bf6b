"""Arithmetic and traffic: numbers worked by hand, and loops that are counted with their rounds."""

from typing import Any

import jax
import jax.numpy as jnp
import pytest

from hrnet_jax.preflight import cost, hlo


def compiled(function: Any, *shapes: tuple[int, ...]) -> Any:
  arguments = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes]
  return jax.jit(function).lower(*arguments).compile()


def measured(function: Any, *shapes: tuple[int, ...]) -> cost.Cost:
  return cost.measure(hlo.parse(compiled(function, *shapes).as_text()))


def convolve(x: jax.Array, kernel: jax.Array, **options: Any) -> jax.Array:
  options = {"window_strides": (1, 1), "padding": "VALID"} | options
  layout = ("NHWC", "HWIO", "NHWC")
  return jax.lax.conv_general_dilated(x, kernel, dimension_numbers=layout, **options)


@pytest.mark.parametrize(
  ("options", "products"),
  [
    ({}, 2 * 6 * 5 * 9),
    # Of 8 rows the first and the last miss one of three kernel rows; the same for 7 columns.
    ({"padding": ((1, 1), (1, 1))}, 2 * (3 * 8 - 2) * (3 * 7 - 2)),
    ({"window_strides": (2, 2)}, 2 * (3 * 3) * (3 * 3)),
    # Every other row and column is a zero between two values: positions 0, 2, ... of 15 and 13.
    ({"lhs_dilation": (2, 2), "padding": ((1, 1), (1, 1))}, 2 * (7 + 8 + 7) * (6 + 7 + 6)),
  ],
)
def test_convolutions_count_real_products(options: dict[str, Any], products: int) -> None:
  channels, outputs = 4, 5
  result = measured(
    lambda x, k: convolve(x, k, **options), (2, 8, 7, channels), (3, 3, channels, outputs)
  )
  assert result.flops == 2 * products * channels * outputs


def test_gradients_of_a_convolution_cost_as_much_as_it() -> None:
  def loss(x: jax.Array, kernel: jax.Array) -> jax.Array:
    return (convolve(x, kernel) ** 2).sum()

  once = 2 * (2 * 6 * 5 * 9) * 4 * 5
  for argument in (0, 1):
    result = measured(jax.grad(loss, argument), (2, 8, 7, 4), (3, 3, 4, 5))
    assert result.flops == 2 * once


def test_products_of_matrices_may_be_convolutions() -> None:
  text = """HloModule product, is_scheduled=true

ENTRY %main (x: f32[2,4], k: f32[4,5]) -> f32[2,5] {
  %x = f32[2,4]{1,0} parameter(0)
  %k = f32[4,5]{1,0} parameter(1)
  ROOT %y = f32[2,5]{1,0} convolution(%x, %k), dim_labels=bf_io->bf
}
"""
  assert cost.measure(hlo.parse(text)).flops == 2 * 2 * 4 * 5


def test_groups() -> None:
  result = measured(lambda x, k: convolve(x, k, feature_group_count=2), (2, 8, 7, 4), (3, 3, 2, 6))
  assert result.flops == 2 * (2 * 6 * 5 * 9) * 2 * 6


def test_rounds_of_a_loop_count_where_the_compiler_counts_one() -> None:
  def loop(x: jax.Array) -> jax.Array:
    return jax.lax.scan(lambda c, _: (jnp.tanh(c @ c), None), x, None, length=7)[0]

  program = compiled(loop, (32, 32))
  once = 2 * 32**3
  assert cost.measure(hlo.parse(program.as_text())).flops == 7 * once
  assert program.cost_analysis()["flops"] < 2 * once  # should it change, ours can go


def test_traffic_is_what_is_read_and_written() -> None:
  result = measured(lambda x, y: jnp.tanh(x) * y, (128, 100), (128, 100))
  assert result == cost.Cost(0, 3 * 4 * 128 * 100)


def test_a_loop_over_rows_moves_rows() -> None:
  def loop(x: jax.Array, rows: jax.Array) -> jax.Array:
    return jax.lax.scan(lambda c, row: (c * 2 + row, None), x, rows)[0]

  rounds, length = 64, 1000
  result = measured(loop, (length,), (rounds, length))
  row = 4 * length
  assert 3 * rounds * row <= result.traffic < 6 * rounds * row  # not rounds**2


def test_what_stays_on_the_chip_moves_nothing() -> None:
  text = """HloModule jit_f

ENTRY %main (x: f32[8,128]) -> f32[8,128] {
  %x = f32[8,128]{1,0:T(8,128)} parameter(0)
  %start = (f32[8,128]{1,0:T(8,128)S(1)}, f32[8,128]{1,0:T(8,128)}, u32[]{:S(2)}) copy-start(%x)
  %in = f32[8,128]{1,0:T(8,128)S(1)} copy-done(%start)
  %twice = f32[8,128]{1,0:T(8,128)S(1)} add(%in, %in)
  ROOT %out = f32[8,128]{1,0:T(8,128)} copy(%twice)
}
"""
  assert cost.measure(hlo.parse(text)) == cost.Cost(0, 2 * 4096)
