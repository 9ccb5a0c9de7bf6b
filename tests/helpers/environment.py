"""The environment of the processes of a test run; imports no JAX, which would read it.

python -m tests.helpers.environment    # prints flags for tests that are not `optimised`
"""

import ctypes
import gc
import hashlib
import importlib.metadata
import os
import pathlib
import platform
import sys

ROOT = pathlib.Path(__file__).parents[2]
# Compiling takes longer than what tests compute: code that is made quickly, and is slower.
# Fusions by XLA's older way take half of the time to compile; newer versions refuse the flag.
OLD_FUSIONS = (
  ("--xla_cpu_use_fusion_emitters=false",)
  if importlib.metadata.version("jaxlib").startswith("0.10.")
  else ()
)
QUICK = (
  "--xla_backend_optimization_level=0",
  "--xla_llvm_disable_expensive_passes=true",
  *OLD_FUSIONS,
)
# Networks of the toy are too small to be shared by threads.
ONE_THREAD = {"OMP_NUM_THREADS": "1"}
_DEVICES = "--xla_force_host_platform_device_count"
_CACHE_BYTES = 2**30
_MEMORY = 3 * 2**30
_held = 0  # bytes that were left when programs were last forgotten


def xla_flags(*more: str, devices: int = 0) -> str:
  """$XLA_FLAGS for a process: what it is here, `more`, and a number of simulated devices.

  Args:
    more: flags, such as `QUICK`.
    devices: 0 leaves their number to the process.
  """
  kept = [x for x in os.environ.get("XLA_FLAGS", "").split() if not x.startswith(_DEVICES)]
  counted = [f"{_DEVICES}={devices}"] if devices else []
  return " ".join([*kept, *(x for x in more if x not in kept), *counted])


def use_compilation_cache() -> None:
  """Lets this process and those that it starts keep what they compile for the next run.

  Programs go to a folder of the checkout, one for each kind of processor, since code for one may
  not run on another; JAX tells apart versions and flags. $JAX_COMPILATION_CACHE_DIR goes before.
  """
  os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
  os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")
  if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
    folder = ROOT / ".pytest_cache" / "xla" / _processor()
    folder.mkdir(parents=True, exist_ok=True)
    _trim(folder, _CACHE_BYTES)
    os.environ["JAX_COMPILATION_CACHE_DIR"] = str(folder)


def compile_quickly(quickly: bool) -> None:
  """Chooses how much this process, and those that it starts, optimise what they compile."""
  os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] = str(int(quickly))
  if "jax" in sys.modules:
    sys.modules["jax"].config.update("jax_disable_most_optimizations", quickly)


def limit_memory() -> None:
  """Forgets compiled programs once they take gigabytes; hundreds for eight devices do."""
  global _held
  memory = _memory()
  if "jax" in sys.modules and memory > max(_MEMORY, 1.5 * _held):
    sys.modules["jax"].clear_caches()
    gc.collect()
    if trim := getattr(ctypes.CDLL(None), "malloc_trim", None):
      trim(0)
    _held = _memory()


def _memory() -> int:
  """Bytes of this process that lie in memory; 0 where nobody says."""
  facts = pathlib.Path("/proc/self/statm")
  return int(facts.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") if facts.exists() else 0


def _processor() -> str:
  """Short name of what programs for this machine's processor may hold."""
  facts = pathlib.Path("/proc/cpuinfo")
  lines = facts.read_text().splitlines() if facts.exists() else [platform.processor()]
  told = [x for x in lines if x.startswith(("model name", "flags", "Features"))] or lines[:1]
  return hashlib.sha256("\n".join(sorted({*told, platform.machine()})).encode()).hexdigest()[:12]


def _trim(folder: pathlib.Path, limit: int) -> None:
  """Removes the oldest files until half of `limit` bytes is left, if there are more than it."""
  files = sorted(((p.stat(), p) for p in folder.iterdir()), key=lambda x: x[0].st_mtime)
  total = sum(stat.st_size for stat, _ in files)
  if total <= limit:
    return
  for stat, path in files:
    path.unlink(missing_ok=True)
    total -= stat.st_size
    if total <= limit // 2:
      return


if __name__ == "__main__":
  print(*OLD_FUSIONS)
