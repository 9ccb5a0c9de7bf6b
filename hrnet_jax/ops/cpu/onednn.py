"""oneDNN's convolutions inside XLA's programs for CPUs: `x, kernel -> y` and both gradients.

XLA's own convolutions of few channels, and its gradients of kernels, take two to eight times as
long on x86. The package `hrnet-jax-onednn`, which is built from `native/` of the checkout, has the
handlers. A custom call is one that XLA cannot split over devices, so it is used where there is one
CPU device; programs for other platforms do not contain it.

$HRNET_JAX_CPU_CONVOLUTION chooses: `auto` uses it where it can be used, `onednn` insists, `xla`
leaves everything to XLA.
"""

from collections.abc import Callable, Iterator
import contextlib
import contextvars
import functools
import importlib
import os
import platform
import sys
import types

import jax
import jax.numpy as jnp
import numpy as np

from hrnet_jax.errors import UserError, check_known

VARIABLE = "HRNET_JAX_CPU_CONVOLUTION"
PACKAGE = "hrnet_jax_onednn"
_CHOICES = ("auto", "onednn", "xla")
_SYMBOLS = {
  "hrnet_conv_forward": "HrnetConvForward",
  "hrnet_conv_input_gradient": "HrnetConvInputGradient",
  "hrnet_conv_kernel_gradient": "HrnetConvKernelGradient",
  "hrnet_sum": "HrnetSum",
  "hrnet_enlargement_gradient": "HrnetEnlargementGradient",
}
_FORWARD, _INPUT_GRADIENT, _KERNEL_GRADIENT, SUM, ENLARGEMENT_GRADIENT = TARGETS = tuple(_SYMBOLS)
_MOST_BYTES = 2**31  # of an array; the library counts elements of some kernels in 32 bits
_portable = contextvars.ContextVar("portable", default=False)

Conv = Callable[[jax.Array, jax.Array, int], jax.Array]


@contextlib.contextmanager
def portable() -> Iterator[None]:
  """Makes programs that are traced inside run on any machine, without the library."""
  token = _portable.set(True)
  try:
    yield
  finally:
    _portable.reset(token)


def why_not() -> str:
  """Why convolutions on the CPU are XLA's; empty if they are oneDNN's.

  Raises:
    ValueError: $HRNET_JAX_CPU_CONVOLUTION is something else, or insists on what cannot be.
  """
  choice = os.environ.get(VARIABLE) or "auto"
  check_known(choice, _CHOICES, f"${VARIABLE}")
  if choice == "xla":
    return f"${VARIABLE} is xla"
  reason = _missing() or _unsuitable_devices()
  if reason and choice == "onednn":
    raise UserError(f"${VARIABLE} is onednn, but {reason}")
  return reason


def description() -> str:
  """Which convolutions a CPU computes with, for people and manifests."""
  reason = why_not()
  return f"XLA ({reason})" if reason else f"oneDNN {_package().version()}"


def hint() -> str:
  """How to get a library that is missing and would serve here; else empty."""
  if sys.platform != "linux" or platform.machine() != "x86_64" or not why_not():
    return ""
  if not _missing() or _unsuitable_devices():
    return ""
  return (
    f"convolutions are XLA's, and could be about twice as fast: {_missing()}; "
    "`pip install ./native` in a checkout of hrnet-jax builds it"
  )


def serves(x: jax.Array, kernel: jax.Array, stride: int) -> bool:
  """Whether `conv` can be called with arrays of these shapes and dtypes.

  Args:
    x: `(B, H, W, C)`.
    kernel: `(k, k, C, K)`.
    stride: of both axes.
  """
  if x.dtype != kernel.dtype or not serves_here(x.dtype):
    return False
  if stride > kernel.shape[0] or not x.size or not kernel.size:
    return False
  outputs = x.size // x.shape[-1] * kernel.shape[-1]
  return max(x.size, outputs, kernel.size) * x.dtype.itemsize < _MOST_BYTES


def serves_here(dtype: jnp.dtype) -> bool:
  """Whether programs that are traced now may call the library for arrays of this dtype."""
  if _portable.get() or _in_shard_map() or why_not():
    return False
  return dtype == jnp.float32 or _half_precision(dtype)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 3))
def conv(plain: Conv, x: jax.Array, kernel: jax.Array, stride: int) -> jax.Array:
  """`plain(x, kernel, stride)`, by the library where a CPU computes it.

  Args:
    plain: a convolution padded by `k // 2` on every side; for other platforms.
    x: `(B, H, W, C)`.
    kernel: `(k, k, C, K)` in the dtype of `x`.
    stride: of both axes.

  Returns:
    `(B, ceil(H / stride), ceil(W / stride), K)`.
  """
  return jax.lax.platform_dependent(
    x,
    kernel,
    cpu=functools.partial(_forward, stride=stride),
    default=lambda x, kernel: plain(x, kernel, stride),
  )


def _conv_forward(
  plain: Conv, x: jax.Array, kernel: jax.Array, stride: int
) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
  return conv(plain, x, kernel, stride), (x, kernel)


def _conv_backward(
  plain: Conv, stride: int, residuals: tuple[jax.Array, jax.Array], dy: jax.Array
) -> tuple[jax.Array, jax.Array]:
  def here(x: jax.Array, kernel: jax.Array, dy: jax.Array) -> tuple[jax.Array, jax.Array]:
    attributes = {"stride": np.int64(stride)}
    dx, dkernel = _like(x.shape, dy), _like(kernel.shape, dy)
    return (
      jax.ffi.ffi_call(_INPUT_GRADIENT, dx)(dy, kernel, **attributes),
      jax.ffi.ffi_call(_KERNEL_GRADIENT, dkernel)(x, dy, **attributes),
    )

  def elsewhere(x: jax.Array, kernel: jax.Array, dy: jax.Array) -> tuple[jax.Array, jax.Array]:
    return jax.vjp(lambda x, kernel: plain(x, kernel, stride), x, kernel)[1](dy)

  return jax.lax.platform_dependent(*residuals, dy, cpu=here, default=elsewhere)


conv.defvjp(_conv_forward, _conv_backward)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 1, 2))
def fused_conv(
  plain: Callable[..., jax.Array], stride: int, relu: bool, *arrays: jax.Array | None
) -> jax.Array:
  """A convolution with all that follows it in a network for inference, as one operation.

  Args:
    plain: the same in several operations, of `arrays`; for other platforms and for gradients.
    stride: of both axes.
    relu: whether there is one.
    *arrays: x `(B, H, W, C)`, kernel `(k, k, C, K)`, bias `(K,)`, and a residual of the shape of
      the result, added before the ReLU, or None.
  """
  return jax.lax.platform_dependent(
    *arrays, cpu=functools.partial(_forward, stride=stride, relu=relu), default=plain
  )


def _fused_forward(
  plain: Callable[..., jax.Array], stride: int, relu: bool, *arrays: jax.Array | None
) -> tuple[jax.Array, tuple]:
  return fused_conv(plain, stride, relu, *arrays), arrays


def _fused_backward(
  plain: Callable[..., jax.Array], stride: int, relu: bool, arrays: tuple, dy: jax.Array
) -> tuple:
  del stride, relu
  return jax.vjp(plain, *arrays)[1](dy)


fused_conv.defvjp(_fused_forward, _fused_backward)


def _forward(
  x: jax.Array,
  kernel: jax.Array,
  bias: jax.Array | None = None,
  residual: jax.Array | None = None,
  *,
  stride: int,
  relu: bool = False,
) -> jax.Array:
  b, h, w, _ = x.shape
  more = [array for array in (bias, residual) if array is not None]
  call = jax.ffi.ffi_call(
    _FORWARD,
    _like((b, -(-h // stride), -(-w // stride), kernel.shape[-1]), x),
    # The library adds to what is in the result already.
    input_output_aliases={} if residual is None else {1 + len(more): 0},
  )
  return call(
    x,
    kernel,
    *more,
    stride=np.int64(stride),
    bias=bias is not None,
    residual=residual is not None,
    relu=relu,
  )


def _in_shard_map() -> bool:
  """Whether arrays have types now that the results of a custom call lack."""
  return bool(jax.sharding.get_abstract_mesh().manual_axes)


def _like(shape: tuple[int, ...], x: jax.Array) -> jax.ShapeDtypeStruct:
  return jax.ShapeDtypeStruct(shape, x.dtype)


def _unsuitable_devices() -> str:
  if jax.default_backend() != "cpu":
    return f"programs run on {jax.default_backend()}"
  if jax.device_count() > 1:
    return f"programs run on {jax.device_count()} devices"
  return ""


@functools.cache
def _missing() -> str:
  """Why the library is not there; registers its handlers if it is."""
  try:
    library = importlib.import_module(PACKAGE).load()
  except ModuleNotFoundError as error:
    if error.name != PACKAGE:
      raise
    return "the package hrnet-jax-onednn is not installed"
  except OSError as error:
    return f"its library cannot be loaded: {error}"
  if not all(hasattr(library, symbol) for symbol in _SYMBOLS.values()):
    return "the package hrnet-jax-onednn is of an older version"
  for target, symbol in _SYMBOLS.items():
    jax.ffi.register_ffi_target(target, jax.ffi.pycapsule(getattr(library, symbol)), platform="cpu")
  return ""


@functools.cache
def _half_precision(dtype: jnp.dtype) -> bool:
  return dtype == jnp.bfloat16 and _package().has_bfloat16()


def _package() -> types.ModuleType:
  return importlib.import_module(PACKAGE)
