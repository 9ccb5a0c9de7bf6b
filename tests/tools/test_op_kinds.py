"""Kinds of the instructions of small compiled programs, and shares of the time by the clock."""

from collections.abc import Iterator
import functools
import pathlib

from hypothesis import given
from hypothesis import strategies as st
import jax
import jax.numpy as jnp
from jax.profiler import ProfileData
import pytest

from hrnet_jax.ops.batch_norm import batch_norm
from hrnet_jax.ops.conv import conv
from hrnet_jax.ops.resize import resize
from tools import op_kinds

OPTIONS = {"xla_backend_optimization_level": 0}
LENGTHS = st.tuples(st.integers(0, 50), st.integers(0, 20))


@pytest.fixture(scope="module", autouse=True)
def names_of_these_sources() -> Iterator[None]:
  """A program that earlier sources left in the cache would name their files and lines."""
  name = "jax_compilation_cache_include_metadata_in_key"
  jax.config.update(name, True)
  yield
  jax.config.update(name, False)


def compiled(function, *shapes: tuple[int, ...]) -> op_kinds.StepProgram:
  arguments = [jax.ShapeDtypeStruct(shape, "float32") for shape in shapes]
  program = jax.jit(function).lower(*arguments).compile(OPTIONS)
  return op_kinds.StepProgram(program.as_text())


def run(program: op_kinds.StepProgram) -> list[str]:
  """Kinds of the operations of the program's entry, which all have an event in a trace."""
  entry = next(iter(program.computations.values()))
  skipped = {"parameter", "constant", "tuple", "get-tuple-element", "bitcast"}
  return [program.kind(x.name) for x in entry.lines.values() if x.opcode not in skipped]


@pytest.fixture(scope="module")
def network() -> list[str]:
  """Loss and gradients of two convolutions, a norm and an enlargement."""

  @jax.named_scope("Network")
  def loss(x, window, point, scale):
    with jax.named_scope("first"):
      y = conv(x, window, 2)
    y = jax.nn.relu(batch_norm(y, scale, scale, 1e-5)[0])
    with jax.named_scope("second"):
      y = conv(y, point)
    return (resize(y, (6, 10), "bilinear") ** 2).sum()

  gradients = jax.grad(loss, argnums=(0, 1, 2, 3))
  return run(compiled(gradients, (2, 5, 9, 4), (3, 3, 4, 8), (1, 1, 8, 6), (8,)))


def test_convolutions_are_told_from_their_gradients(network: list[str]) -> None:
  assert network.count(op_kinds.FORWARD) == 2
  assert network.count(op_kinds.BACKWARD) == 4  # of the inputs and of the kernels


def test_operations_belong_to_the_code_that_made_them(network: list[str]) -> None:
  assert {op_kinds.NORM, op_kinds.RESIZE, op_kinds.COPIES} <= set(network)
  assert op_kinds.LOSS not in network


def test_a_move_counts_for_the_convolution_that_needs_it() -> None:
  """The transposition of the outputs of a ReLU outside of the package, for a kernel's gradient."""
  program = compiled(
    lambda x, dy: jax.vjp(functools.partial(conv, jax.nn.relu(x)), jnp.ones((1, 1, 4, 8)))[1](dy),
    (2, 3, 5, 4),
    (2, 3, 5, 8),
  )
  assert set(run(program)) <= {op_kinds.BACKWARD, op_kinds.COPIES, op_kinds.OTHER}
  assert op_kinds.COPIES in run(program)


def test_the_kinds_of_a_step_add_up_to_its_time() -> None:
  parts = [(op_kinds.FORWARD, 0.25), (op_kinds.FORWARD, 0.25), (op_kinds.NORM, 1.625)]
  made = op_kinds.by_kind(3.0, parts)
  assert sum(made.values()) == 3.0
  assert made[op_kinds.BETWEEN] == 0.875
  assert made[op_kinds.FORWARD] == 0.5


def test_operations_side_by_side_share_the_time() -> None:
  found = op_kinds.shares([("a", 0.0, 4.0), ("b", 2.0, 6.0), ("c", 8.0, 9.0)])
  assert found == [("a", 3.0), ("b", 3.0), ("c", 1.0)]


@given(st.lists(LENGTHS, max_size=12))
def test_shares_add_up_to_the_time_in_which_something_ran(spans: list[tuple[int, int]]) -> None:
  made = [(str(k), float(start), float(start + n)) for k, (start, n) in enumerate(spans)]
  busy = {moment for start, n in spans for moment in range(start, start + n)}
  found = op_kinds.shares(made)
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
  parsed = op_kinds.StepProgram(program.as_text())
  found = op_kinds.read_intervals(ProfileData.from_file(str(path)), parsed.has_product)
  instructions = parsed.instructions
  names = [name for name, _, _ in found]
  assert set(names) <= set(instructions)
  assert not [name for name in names if instructions[name].opcode == "while"]
  assert 3 in {names.count(name) for name in names}  # the loop's body
  assert all(start <= end for _, start, end in found)
