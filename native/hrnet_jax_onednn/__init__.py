"""oneDNN's convolutions, and sums of maps, as handlers of XLA's interface for foreign functions.

The library is one shared object; `load` opens it beside the oneDNN that the package
`onednn-cpu-gomp` brings.
"""

import ctypes
import functools
import importlib.metadata
import os
import pathlib

_ONEDNN = "onednn-cpu-gomp"
_SONAME = "libdnnl.so.3"
# How often a thread of OpenMP looks for work before it sleeps. By default that takes milliseconds,
# in which XLA's threads, or another process, lack a core; not at all, and waking takes longer than
# a small convolution.
_SPIN_VARIABLE, _SPINS = "GOMP_SPINCOUNT", "3000"
# dnnl_cpu_isa_t; each set is a mask that contains the smaller ones.
_AVX512_BF16 = 0xE7
_NAMES = {
  0x1: "SSE4.1", 0x3: "AVX", 0x7: "AVX2", 0xF: "AVX2 with VNNI", 0x1F: "AVX2 with VNNI 2",
  0x27: "AVX-512", 0x67: "AVX-512 with VNNI", 0xE7: "AVX-512 with bfloat16",
  0x1EF: "AVX-512 with float16", 0xFEF: "AMX", 0x1FEF: "AMX with float16",
}  # fmt: skip


class _Version(ctypes.Structure):
  _fields_ = (("major", ctypes.c_int), ("minor", ctypes.c_int), ("patch", ctypes.c_int))


@functools.cache
def load() -> ctypes.CDLL:
  """Opens the library.

  Returns:
    It, with the handlers in `src/`.

  Raises:
    OSError: it, or a library that it needs, is not there or not for this processor.
  """
  chosen = "OMP_WAIT_POLICY" in os.environ or _SPIN_VARIABLE in os.environ
  if not chosen:
    os.environ[_SPIN_VARIABLE] = _SPINS  # read when the library of OpenMP is loaded
  try:
    ctypes.CDLL(str(_onednn()))  # found by its name from now on
  finally:
    if not chosen:
      del os.environ[_SPIN_VARIABLE]
  library = ctypes.CDLL(str(pathlib.Path(__file__).parent / "libhrnet_jax_onednn.so"))
  library.HrnetOnednnVersion.restype = ctypes.POINTER(_Version)
  return library


def version() -> str:
  """Version and vector instructions, such as `3.2.0, AVX-512 with bfloat16`."""
  library = load()
  number, found = library.HrnetOnednnVersion().contents, library.HrnetOnednnInstructions()
  instructions = _NAMES.get(found, hex(found))
  return f"{number.major}.{number.minor}.{number.patch}, {instructions}"


def has_bfloat16() -> bool:
  """Whether the processor multiplies bfloat16."""
  return load().HrnetOnednnInstructions() & _AVX512_BF16 == _AVX512_BF16


def _onednn() -> pathlib.Path:
  try:
    files = importlib.metadata.files(_ONEDNN) or ()
  except importlib.metadata.PackageNotFoundError:
    raise OSError(f"package {_ONEDNN} is not installed") from None
  for file in files:
    if file.name == _SONAME:
      return pathlib.Path(str(file.locate()))
  raise OSError(f"package {_ONEDNN} lacks {_SONAME}")
