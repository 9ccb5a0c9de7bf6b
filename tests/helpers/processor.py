"""What the processor here can do, as far as rounding depends on it."""

import os
import pathlib


def has_avx512() -> bool:
  """Whether XLA uses AVX-512; with less it divides sums otherwise."""
  cpu = pathlib.Path("/proc/cpuinfo")
  words = cpu.read_text().split() if cpu.exists() else []
  return "avx512f" in words and "xla_cpu_max_isa" not in os.environ.get("XLA_FLAGS", "")
