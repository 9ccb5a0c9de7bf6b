"""What the instructions of small compiled programs are for."""

import functools

import jax
import jax.numpy as jnp
import pytest

from benchmarks import hlo, kinds
from benchmarks.kinds import Product
from hrnet_jax.ops.batch_norm import batch_norm
from hrnet_jax.ops.conv import conv
from hrnet_jax.ops.resize import resize

OPTIONS = {"xla_backend_optimization_level": 0}
WINDOW = Product(kernel=3, stride=2, inputs=4, outputs=8, positions=2 * 3 * 5)
POINT = Product(kernel=1, stride=1, inputs=8, outputs=6, positions=2 * 3 * 5)


def compiled(function, *shapes: tuple[int, ...]) -> hlo.Program:
  arguments = [jax.ShapeDtypeStruct(shape, "float32") for shape in shapes]
  program = jax.jit(function).lower(*arguments).compile(OPTIONS)
  return hlo.Program(program.as_text())


def run(program: hlo.Program) -> list[hlo.Operation]:
  """The operations of the program's entry, which all have an event in a trace."""
  entry = next(iter(program.computations.values()))
  skipped = {"parameter", "constant", "tuple", "get-tuple-element", "bitcast"}
  return [program.operation(x.name) for x in entry.lines.values() if x.opcode not in skipped]


@pytest.fixture(scope="module")
def network() -> list[hlo.Operation]:
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


def test_convolutions_are_known_by_their_dimensions(network: list[hlo.Operation]) -> None:
  forward = [x.product for x in network if x.kind == kinds.FORWARD]
  assert sorted(forward) == [POINT, WINDOW]
  gradients = [x for x in network if x.kind == kinds.BACKWARD]
  assert all(x.backward for x in gradients)
  assert {x.product for x in gradients} == {POINT, WINDOW}
  assert len(gradients) == 4  # of the inputs and of the kernels


def test_operations_belong_to_the_code_that_made_them(network: list[hlo.Operation]) -> None:
  found = {x.kind for x in network}
  assert {kinds.NORM, kinds.RESIZE, kinds.COPIES} <= found
  assert not found & {kinds.LOSS}


def test_convolutions_in_a_loop_are_told_apart_by_their_sizes() -> None:
  sizes = {4: (6, 8), 16: (3, 5)}

  def turn(x, kernel):
    with jax.named_scope("block"):
      return conv(x, kernel), None

  @jax.named_scope("Network")
  def loss(xs, kernels):
    return sum(jnp.sum(jax.lax.scan(turn, *pair)[0] ** 2) for pair in zip(xs, kernels, strict=True))

  shapes = [jax.ShapeDtypeStruct((2, *size, c), "float32") for c, size in sizes.items()]
  weights = [jax.ShapeDtypeStruct((3, 3, 3, c, c), "float32") for c in sizes]
  lowered = jax.jit(jax.grad(loss, argnums=(0, 1))).lower(shapes, weights)
  program = hlo.Program(lowered.compile(OPTIONS).as_text())
  bodies = [
    program.operation(x.name)
    for x in program.instructions.values()
    if x.opcode in ("convolution", "dot", "fusion")
  ]
  expected = {Product(3, 1, c, c, 2 * h * w) for c, (h, w) in sizes.items()}
  for kind in (kinds.FORWARD, kinds.BACKWARD):
    assert {x.product for x in bodies if x.kind == kind} == expected


def test_a_move_counts_for_the_convolution_that_needs_it() -> None:
  """The transposition of the outputs of a ReLU outside of the package, for a kernel's gradient."""
  program = compiled(
    lambda x, dy: jax.vjp(functools.partial(conv, jax.nn.relu(x)), jnp.ones((1, 1, 4, 8)))[1](dy),
    (2, 3, 5, 4),
    (2, 3, 5, 8),
  )
  assert {x.kind for x in run(program)} <= {kinds.BACKWARD, kinds.COPIES, kinds.OTHER}
  assert kinds.COPIES in {x.kind for x in run(program)}
