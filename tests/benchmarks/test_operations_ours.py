"""Shares of the time by the clock, and what a real trace shows."""

import pathlib

from hypothesis import given
from hypothesis import strategies as st
import jax
import jax.numpy as jnp
from jax.profiler import ProfileData
import pytest

from benchmarks import hlo
from benchmarks.operations_ours import intervals, shares

LENGTHS = st.tuples(st.integers(0, 50), st.integers(0, 20))


def test_operations_side_by_side_share_the_time() -> None:
  found = shares([("a", 0.0, 4.0), ("b", 2.0, 6.0), ("c", 8.0, 9.0)])
  assert found == [("a", 3.0), ("b", 3.0), ("c", 1.0)]


@given(st.lists(LENGTHS, max_size=12))
def test_shares_add_up_to_the_time_in_which_something_ran(spans: list[tuple[int, int]]) -> None:
  made = [(str(k), float(start), float(start + n)) for k, (start, n) in enumerate(spans)]
  busy = {moment for start, n in spans for moment in range(start, start + n)}
  found = shares(made)
  assert sum(share for _, share in found) == pytest.approx(len(busy))
  assert all(0 <= share <= n + 1e-9 for (_, share), (_, n) in zip(found, spans, strict=True))


def test_a_trace_shows_what_runs_inside_of_loops_but_not_the_loop(tmp_path: pathlib.Path) -> None:
  def function(x):
    y = jax.lax.fori_loop(0, 3, lambda _, y: jnp.tanh(y @ x), x)
    return jnp.sort(y, axis=0)

  program = jax.jit(function).lower(jnp.ones((64, 64))).compile()
  with jax.profiler.trace(str(tmp_path)):
    jax.block_until_ready(program(jnp.ones((64, 64))))
  (path,) = tmp_path.rglob("*.xplane.pb")
  parsed = hlo.Program(program.as_text())
  found = intervals(ProfileData.from_file(str(path)), parsed.is_product)
  instructions = parsed.instructions
  names = [name for name, _, _ in found]
  assert set(names) <= set(instructions)
  assert not [name for name in names if instructions[name].opcode == "while"]
  assert 3 in {names.count(name) for name in names}  # the loop's body
  assert all(start <= end for _, start, end in found)
