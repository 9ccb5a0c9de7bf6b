"""oneDNN's convolutions: against XLA's in float64, and where they must not be used."""

from collections.abc import Callable
import concurrent.futures
import functools
import os
import re
import subprocess
import sys

import jax
from jax import export
import jax.numpy as jnp
import numpy as np
import pytest

from hrnet_jax.errors import UserError
from hrnet_jax.ops.conv import conv, conv_bias_relu
from hrnet_jax.ops.cpu import onednn
from tests.helpers import toy

pytestmark = pytest.mark.usefixtures("by_onednn")

# Batch, height, width, channels, outputs, window, stride.
SHAPES = [
  (2, 12, 15, 18, 18, 3, 1),
  (2, 12, 15, 18, 36, 3, 2),
  (1, 13, 16, 64, 64, 3, 2),
  (3, 8, 8, 48, 96, 3, 1),
  (1, 32, 33, 3, 64, 3, 2),
  (2, 1, 1, 32, 32, 3, 1),
  (1, 1, 1, 16, 8, 3, 2),
  (2, 9, 7, 64, 256, 1, 1),
  (1, 5, 6, 270, 1, 1, 1),
  (2, 11, 14, 5, 7, 7, 2),
  (1, 10, 9, 4, 4, 5, 1),
]
FLOAT32 = 2e-6  # of the norm of the result
BFLOAT16 = 0.01


def arrays(shape: tuple[int, ...], dtype: str = "float32") -> tuple[np.ndarray, np.ndarray]:
  """An input and a kernel."""
  b, h, w, c, k, window, _ = shape
  rng = np.random.default_rng(0)
  sizes = ((b, h, w, c), (window, window, c, k))
  x, kernel = (rng.standard_normal(size) for size in sizes)
  return jnp.asarray(x, dtype), jnp.asarray(kernel / np.sqrt(window**2 * c), dtype)


def in_float64(function: Callable, *args: jax.Array) -> list[np.ndarray]:
  """The leaves of what XLA makes of the same values in float64."""
  with jax.enable_x64(True), onednn.portable():
    wide = [jnp.asarray(np.asarray(x, "float64")) for x in args]
    return [np.asarray(x) for x in jax.tree.leaves(jax.jit(function)(*wide))]


def check(function: Callable, *args: jax.Array, tolerance: float = FLOAT32) -> None:
  """Compares with float64, after making sure that the library is what computes."""
  assert "hrnet_conv" in jax.jit(function).lower(*args).as_text()
  # A copy, or the trace of the other kind would be taken.
  expected = in_float64(lambda *args: function(*args), *args)
  for ours, right in zip(jax.tree.leaves(jax.jit(function)(*args)), expected, strict=True):
    error = np.linalg.norm(np.asarray(ours, "float64") - right)
    assert error <= tolerance * np.linalg.norm(right)


def gradients(x: jax.Array, kernel: jax.Array, stride: int) -> tuple:
  """Value and both gradients, for a gradient of the output that is not constant."""
  y, back = jax.vjp(functools.partial(conv, stride=stride), x, kernel)
  return y, back(jnp.cos(3 * y))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_values_and_gradients(shape: tuple[int, ...]) -> None:
  x, kernel = arrays(shape)
  check(functools.partial(gradients, stride=shape[-1]), x, kernel, tolerance=5 * FLOAT32)


@pytest.mark.parametrize("shape", SHAPES[:2], ids=str)
def test_bfloat16(shape: tuple[int, ...]) -> None:
  x, kernel = arrays(shape, "bfloat16")
  if not onednn.serves(x, kernel, 1):
    pytest.skip("this processor does not multiply bfloat16")
  check(functools.partial(conv, stride=shape[-1]), x, kernel, tolerance=BFLOAT16)


@pytest.mark.parametrize("relu", [True, False])
@pytest.mark.parametrize("added", [True, False])
@pytest.mark.parametrize("shape", [SHAPES[1], SHAPES[7]], ids=str)
def test_fused(shape: tuple[int, ...], added: bool, relu: bool) -> None:
  x, kernel = arrays(shape)
  bias = jnp.linspace(-1, 1, kernel.shape[-1])
  residual = [jnp.sin(conv(x, kernel, shape[-1]))] if added else []

  def run(x, kernel, bias, *residual):
    given = residual[0] if residual else None
    y = conv_bias_relu(x, kernel, bias, stride=shape[-1], residual=given, relu=relu)
    return (y, *residual)  # which must be left as they were

  check(run, x, kernel, bias, *residual)
  check(jax.grad(lambda *args: jnp.sin(run(*args)[0]).sum(), (0, 1, 2)), x, kernel, bias, *residual,
        tolerance=5 * FLOAT32)  # fmt: skip


def test_same_bits_every_time_and_from_every_thread() -> None:
  x, kernel = arrays((4, 40, 40, 32, 32, 3, 1))
  run = jax.jit(functools.partial(gradients, stride=1))
  first = [np.asarray(y) for y in jax.tree.leaves(run(x, kernel))]
  with concurrent.futures.ThreadPoolExecutor(6) as pool:
    for later in pool.map(lambda _: jax.tree.leaves(run(x, kernel)), range(24)):
      for a, b in zip(first, later, strict=True):
        np.testing.assert_array_equal(a, b)


def test_kernels_that_change_where_they_lie_are_taken_as_they_are() -> None:
  """The library's copy of a kernel in its own order is not that of another one."""
  x, kernel = arrays((1, 12, 15, 18, 36, 3, 1))
  run, double = jax.jit(conv), jax.jit(lambda kernel: 2 * kernel, donate_argnums=0)
  first = np.asarray(run(x, kernel))
  for power in range(1, 6):
    kernel = double(kernel)  # in the same place; and doubling does not round
    for _ in range(2):
      np.testing.assert_array_equal(run(x, kernel), 2**power * first)


def test_what_it_does_not_serve() -> None:
  def serves(shape, dtype="float32", window=3, stride=1):
    x = jax.ShapeDtypeStruct(shape, dtype)
    return onednn.serves(x, jax.ShapeDtypeStruct((window, window, shape[-1], 8), dtype), stride)

  assert serves((2, 8, 8, 4))
  assert not serves((0, 8, 8, 4))
  assert not serves((2, 0, 8, 4))
  assert not serves((2, 8, 8, 4), "float64")
  assert not serves((2, 8, 8, 4), "int32")
  assert not serves((1, 2**13, 2**13, 8))  # 2 GiB
  assert not serves((1, 8, 8, 4), window=1, stride=2)
  with onednn.portable():
    assert not serves((2, 8, 8, 4))


def test_in_shard_map_convolutions_are_of_xla() -> None:
  x, kernel = arrays(SHAPES[0])
  mesh = toy.make_mesh(1)
  part = jax.sharding.PartitionSpec("data")
  run = jax.shard_map(
    lambda x, k: jax.lax.map(lambda y: conv(y, k), x[None])[0],
    mesh=mesh,
    in_specs=(part, jax.sharding.PartitionSpec()),
    out_specs=part,
  )
  assert "hrnet_conv" not in jax.jit(run).lower(x, kernel).as_text()
  np.testing.assert_allclose(run(x, kernel), conv(x, kernel), atol=1e-5)


def test_empty_batch() -> None:
  _, kernel = arrays(SHAPES[0])
  y, (dx, dkernel) = jax.jit(functools.partial(gradients, stride=1))(
    jnp.zeros((0, 8, 8, 18)), kernel
  )
  assert y.shape == dx.shape == (0, 8, 8, 18)
  assert not dkernel.any()


def test_an_error_of_the_library_is_told() -> None:
  x, kernel = arrays(SHAPES[0])
  conv(x, kernel)  # registers the handlers
  wrong = jax.ffi.ffi_call(onednn.TARGETS[0], jax.ShapeDtypeStruct((2, 12, 15, 17), x.dtype))
  with pytest.raises(jax.errors.JaxRuntimeError, match=r"oneDNN's convolution: .* do not fit"):
    wrong(x, kernel, stride=np.int64(1), bias=False, residual=False, relu=False)


@pytest.mark.parametrize("platform", ["tpu", "cuda"])
def test_programs_for_accelerators_do_not_contain_it(
  platform: str, monkeypatch: pytest.MonkeyPatch
) -> None:
  x, kernel = arrays(SHAPES[1])

  def lowered() -> str:
    run = jax.jit(lambda *args: gradients(*args, 2))
    text = export.export(run, platforms=[platform])(x, kernel).mlir_module()
    return re.sub(r" ?loc\(.*|#loc.*|jit_*\w+", "", text)

  assert "hrnet_conv" not in lowered()  # from a machine with one CPU device
  with onednn.portable():
    expected = lowered()
  monkeypatch.undo()
  monkeypatch.setattr(jax, "default_backend", lambda: platform)
  assert onednn.why_not() == f"programs run on {platform}"
  assert lowered() == expected


def test_choices(monkeypatch: pytest.MonkeyPatch) -> None:
  monkeypatch.setenv(onednn.VARIABLE, "xla")
  assert onednn.description() == "XLA ($HRNET_JAX_CPU_CONVOLUTION is xla)"
  monkeypatch.setenv(onednn.VARIABLE, "onednn")
  assert onednn.description().startswith("oneDNN 3.")
  monkeypatch.setattr(onednn, "_unsuitable_devices", lambda: "programs run on 8 devices")
  with pytest.raises(UserError, match="is onednn, but programs run on 8 devices"):
    onednn.why_not()
  monkeypatch.setenv(onednn.VARIABLE, "auto")
  assert onednn.description() == "XLA (programs run on 8 devices)"
  monkeypatch.setenv(onednn.VARIABLE, "eigen")
  with pytest.raises(UserError, match="CPU_CONVOLUTION 'eigen'; known: auto, onednn, xla"):
    onednn.why_not()


def test_a_machine_without_it_is_told_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
  assert not onednn.hint()
  monkeypatch.setitem(sys.modules, onednn.PACKAGE, None)
  monkeypatch.setattr(onednn, "_missing", onednn._missing.__wrapped__)
  monkeypatch.setattr(onednn.platform, "machine", lambda: "x86_64")
  assert "hrnet-jax-onednn is not installed" in onednn.description()
  assert "pip install ./native" in onednn.hint()
  x, kernel = arrays(SHAPES[0])
  assert "hrnet_conv" not in jax.jit(conv).lower(x, kernel).as_text()
  monkeypatch.setattr(onednn.platform, "machine", lambda: "aarch64")
  assert not onednn.hint()


@pytest.mark.parametrize(
  ("variables", "spins"),
  [({}, "3000"), ({"GOMP_SPINCOUNT": "77"}, "77"), ({"OMP_WAIT_POLICY": "PASSIVE"}, "0")],
)
def test_threads_that_wait_sleep_soon(variables: dict[str, str], spins: str) -> None:
  """Or XLA's threads, and other processes, would lack the cores that they spin on."""
  others = {k: v for k, v in os.environ.items() if not k.startswith(("GOMP_", "OMP_"))}
  script = (
    "import os, hrnet_jax_onednn\n"
    "before = dict(os.environ)\n"
    "hrnet_jax_onednn.load()\n"
    "assert dict(os.environ) == before"
  )
  run = subprocess.run(
    [sys.executable, "-c", script],
    env=others | variables | {"OMP_DISPLAY_ENV": "VERBOSE"},
    capture_output=True,
    text=True,
    timeout=60,
  )
  assert run.returncode == 0, run.stderr
  assert f"GOMP_SPINCOUNT = '{spins}'" in run.stderr
